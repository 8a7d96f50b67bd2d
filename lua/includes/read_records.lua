-- Records of reservations by place in KEYS; false: there is none. One MGET for all calls of a batch.
local function read_records(calls, keys)
  local places, names = {}, {}
  for number, call in ipairs(calls) do
    places[number], names[number] = call.record, keys[call.record]
  end
  local records = {}
  for number, packed in ipairs(#names > 0 and redis.call('MGET', unpack(names)) or {}) do
    local record = false
    if packed then
      local fields = cmsgpack.unpack(packed)
      record = {
        fingerprint = fields[1],
        digest = fields[2],
        state = fields[3],
        fate = fields[4],
        expires_at = fields[5],
        first = fields[6],
        settled = fields[7],
        attempts = fields[8],
        begun = fields[9],
      }
    end
    records[places[number]] = record
  end
  return records
end
