--[[
read_entities: configurations and counters of entities, with the entities they refer to.

A virtual key comes with its team and customer, a team with its customer, the limits of a key on a model with that key:
one round trip for all that an answer shows.

KEYS
  [1..]  pairs: config hash, usage hash
ARGV
  [1]    now_ms, '' = Redis clock
  [2]    1: with their counters; 0: without
  [3..]  triples: field that holds an id (JSON text), template of the config key, template of the usage key
RETURNS
  {now_ms, {config_key, config_fields, usage_fields}, ...}    only entities that exist; without counters no usage_fields
WRITES
  nothing
]]
--- @include "resolve_now"
local now = resolve_now(ARGV[1])
local with_counters = ARGV[2] == '1'

local reply = { now }
local seen = {}
local waiting = {}
for i = 1, #KEYS, 2 do
  waiting[#waiting + 1] = { KEYS[i], KEYS[i + 1] }
end

local position = 1
while position <= #waiting do
  local config_key, usage_key = waiting[position][1], waiting[position][2]
  position = position + 1
  if not seen[config_key] then
    seen[config_key] = true
    local config = redis.call('HGETALL', config_key)
    if #config > 0 then
      reply[#reply + 1] = { config_key, config, with_counters and redis.call('HGETALL', usage_key) or {} }
      for f = 1, #config, 2 do
        for a = 3, #ARGV, 3 do
          if config[f] == ARGV[a] then
            local id = cjson.decode('[' .. config[f + 1] .. ']')[1]
            waiting[#waiting + 1] = { string.format(ARGV[a + 1], id), string.format(ARGV[a + 2], id) }
          end
        end
      end
    end
  end
end
return reply
