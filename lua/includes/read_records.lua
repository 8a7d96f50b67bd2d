--- @include "unpack_integers"
-- Records of reservations (record_fields) by place in KEYS; false: there is none. One MGET for all calls of a batch.
local function read_records(packed_places, keys)
  local places, names = unpack_integers(packed_places), {}
  for number = 1, #places do
    names[number] = keys[places[number]]
  end
  local records = {}
  for number, packed in ipairs(#names > 0 and redis.call('MGET', unpack(names)) or {}) do
    records[places[number]] = packed and cmsgpack.unpack(packed)
  end
  return records
end
