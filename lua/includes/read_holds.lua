--- @include "parse_list"
-- The holds of one owner that run out together (parse_list), kept in owner.holds; most were read along with the owner.
local function read_holds(owner, field)
  local holds = owner.holds[field]
  if not holds then
    holds = parse_list(redis.call('HGET', owner.key, field))
    owner.holds[field] = holds
  end
  return holds
end
