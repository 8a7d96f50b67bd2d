--[[
read_quota: counters of virtual keys, and the configuration of those that changed since the caller read them.

One call answers all the reads of an event-loop tick; the caller keeps configurations by version, so that an
unchanged key costs one small hash.

KEYS
  [1..]  pairs: config hash, usage hash, one pair a virtual key
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  version known to the caller, '' = none, in the order of the pairs
RETURNS
  {now_ms, answer, ...}    in the order of the pairs; an answer is one of
  {}                       no such key
  {usage_fields}           the configuration is the one known
  {usage_fields, config_fields}
WRITES
  nothing
]]
--- @include "resolve_now"
local reply = { resolve_now(ARGV[1]) }
for pair = 1, #KEYS / 2 do
  local config_key, usage_key = KEYS[2 * pair - 1], KEYS[2 * pair]
  local known = ARGV[1 + pair]
  local usage = redis.call('HGETALL', usage_key)
  local answer = {}
  if #usage > 0 then
    answer[1] = usage
    if redis.call('HGET', usage_key, 'v') ~= known then
      answer[2] = redis.call('HGETALL', config_key)
    end
  end
  reply[1 + pair] = answer
end
return reply
