--- @include "parse_holds"
-- The holds of one owner that run out together: amount by slot, kept in owner.holds.
local function read_holds(owner, field)
  local holds = owner.holds[field]
  if not holds then
    holds = parse_holds(redis.call('HGET', owner.key, field))
    owner.holds[field] = holds
  end
  return holds
end
