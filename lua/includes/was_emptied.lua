--- @include "emptied_field"
-- Whether an admin has emptied the counter of a slot since then. For the rare calls that take something out of usage.
local function was_emptied(owner, slot, since)
  local emptied_at = redis.call('HGET', owner.key, emptied_field(slot))
  return emptied_at and tonumber(emptied_at) >= since
end
