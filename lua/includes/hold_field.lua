--- @include "text_of"
-- Where a usage hash keeps the holds that run out together. `fate`: b given back then, c charged then.
local function hold_field(fate, boundary)
  return fate .. text_of(boundary)
end
