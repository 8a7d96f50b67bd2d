-- The whole usage hash of an owner as it is stored, read once.
local function read_fields(owner)
  if not owner.stored then
    local flat, stored = redis.call('HGETALL', owner.key), {}
    for place = 1, #flat, 2 do
      stored[flat[place]] = flat[place + 1]
    end
    owner.stored = stored
  end
  return owner.stored
end
