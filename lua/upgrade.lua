--[[
upgrade: write counters and holds as they are kept now, where an earlier version kept them as texts.

An earlier version kept a counter in three fields (u<slot>, r<slot>, h<slot>), and holds as text ('3:500 7:20'). May be repeated.

KEYS
  [1..]  usage hashes of owners
ARGV
  none
RETURNS
  {'upgraded', count}    how many of them were of the earlier version
WRITES
  only hashes of the earlier version
]]
--- @include "pack_counter"
--- @include "pack_integers"
local function upgrade(key)
  local flat, fields = redis.call('HGETALL', key), {}
  for place = 1, #flat, 2 do
    fields[flat[place]] = flat[place + 1]
  end
  local set, gone = {}, {}
  for name, value in pairs(fields) do
    local slot = string.match(name, '^u(%d+)$')
    if slot then
      local at = #set
      set[at + 1] = slot
      set[at + 2] = pack_counter(
        tonumber(value), tonumber(fields['r' .. slot] or 0), tonumber(fields['h' .. slot] or 0))
      gone[#gone + 1] = name
    elseif string.find(name, '^[rh]%d+$') then
      gone[#gone + 1] = name
    elseif string.find(name, '^[bc]%d+$') and string.find(value, '^%d+:%d+') then
      local numbers = {}
      for hold_slot, amount in string.gmatch(value, '(%d+):(%d+)') do
        local at = #numbers
        numbers[at + 1], numbers[at + 2] = tonumber(hold_slot), tonumber(amount)
      end
      local at = #set
      set[at + 1], set[at + 2] = name, pack_integers(numbers, #numbers)
    end
  end
  if #gone == 0 then
    return 0
  end
  redis.call('HSET', key, unpack(set))
  redis.call('HDEL', key, unpack(gone))
  return 1
end

local count = 0
for _, key in ipairs(KEYS) do
  count = count + upgrade(key)
end
return { 'upgraded', count }
