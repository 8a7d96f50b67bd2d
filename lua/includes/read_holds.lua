--- @include "parse_holds"
-- The holds of one owner that run out together: amount by slot, kept in owner.holds.
local function read_holds(owner, field)
  if not owner.holds[field] then
    owner.holds[field] = parse_holds(redis.call('HGET', owner.key, field) or '')
  end
  return owner.holds[field]
end
