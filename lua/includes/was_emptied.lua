--- @include "emptied_field"
-- Whether an admin has emptied the counter of a slot since then. For the rare calls that take something out of usage, and for
-- what has run out: there the whole hash was read before.
local function was_emptied(owner, slot, since)
  local field, emptied_at = emptied_field(slot), nil
  if owner.stored then
    emptied_at = owner.stored[field]
  else
    emptied_at = redis.call('HGET', owner.key, field)
  end
  return emptied_at and tonumber(emptied_at) >= since
end
