--- @include "text_of"
local EMPTIED = 'z'

-- Where a usage hash keeps when an admin emptied the counter of a slot: what was taken before is not in it any more.
local function emptied_field(slot)
  return EMPTIED .. text_of(slot)
end
