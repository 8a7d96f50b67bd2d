--[[
read_quota: counters of virtual keys, and the configuration of those that changed since the caller read them.

One call answers all the reads of an event-loop tick; the caller keeps configurations by version, and so knows which
fields of the usage hash count: those of holds, one for each moment at which some run out, are not even read.

KEYS
  [1..]  pairs: config hash, usage hash, one pair a virtual key
ARGV
  [1]    now_ms, '' = Redis clock
  [2]    JSON array of arrays of fields of a usage hash, 'v' the first of each
  [3..]  pairs: version known to the caller, and which of these arrays it wants then (from 1); '', 0 = none
RETURNS
  {now_ms, answer, ...}    in the order of the pairs; an answer is one of
  {}                       no such key
  {values}                 the configuration is the one known: values of the fields wanted, nil = no such field
  {usage_fields, config_fields}
WRITES
  nothing
]]
--- @include "resolve_now"
local wanted = cjson.decode(ARGV[2])
local reply = { resolve_now(ARGV[1]) }
for pair = 1, #KEYS / 2 do
  local config_key, usage_key = KEYS[2 * pair - 1], KEYS[2 * pair]
  local known, fields = ARGV[1 + 2 * pair], wanted[tonumber(ARGV[2 + 2 * pair])]
  local values = fields and redis.call('HMGET', usage_key, unpack(fields))
  if values and values[1] == known then
    reply[1 + pair] = { values }
  else
    local usage = redis.call('HGETALL', usage_key)
    reply[1 + pair] = #usage > 0 and { usage, redis.call('HGETALL', config_key) } or {}
  end
end
return reply
