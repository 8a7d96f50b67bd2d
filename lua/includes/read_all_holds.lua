--- @include "parse_list"
-- Everything that is held on an owner: owner.holds gets every field, owner.stored the whole usage hash.
local function read_all_holds(owner)
  if owner.stored then
    return
  end
  local flat = redis.call('HGETALL', owner.key)
  owner.stored = {}
  for place = 1, #flat, 2 do
    local field, value = flat[place], flat[place + 1]
    owner.stored[field] = value
    -- What was read before may have been changed since, by another call of the same batch.
    if string.find(field, '^[bc]%d') and not owner.holds[field] then
      owner.holds[field] = parse_list(value)
    end
  end
end
