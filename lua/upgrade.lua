--[[
upgrade: write counters and holds as they are kept now, where an earlier version kept them differently.

Format 1 kept a counter in three fields of text (u<slot>, r<slot>, h<slot>), and holds as text ('3:500 7:20'); format 2 kept
a counter in a field of its own (<slot>: usage, last_reset, held, packed). May be repeated.

KEYS
  [1..]  usage hashes of owners
ARGV
  none
RETURNS
  {'upgraded', count}    how many of them were of an earlier version
WRITES
  only hashes of an earlier version
]]
--- @include "fill_state"
--- @include "format_state"
--- @include "pack_integers"
--- @include "parse_list"
--- @include "state_field"
--- @include "upgrade_each"
local function upgrade_key(key)
  local flat, fields = redis.call('HGETALL', key), {}
  for place = 1, #flat, 2 do
    fields[flat[place]] = flat[place + 1]
  end
  local states, set, gone = {}, {}, {}
  for name, value in pairs(fields) do
    local slot, usage, last_reset, held = string.match(name, '^u?(%d+)$'), nil, nil, nil
    if slot and slot ~= name then
      usage, last_reset, held = tonumber(value), tonumber(fields['r' .. slot] or 0), tonumber(fields['h' .. slot] or 0)
    elseif slot then
      usage, last_reset, held = struct.unpack('<i8i8i8', value)
    end
    if slot then
      local field, place = state_field(tonumber(slot))
      states[field] = states[field] or parse_list(fields[field])
      fill_state(states[field], place)
      states[field][place], states[field][place + 1], states[field][place + 2] = usage, last_reset, held
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
  for field, state in pairs(states) do
    local at = #set
    set[at + 1], set[at + 2] = field, format_state(state)
  end
  redis.call('HSET', key, unpack(set))
  redis.call('HDEL', key, unpack(gone))
  return 1
end

return upgrade_each(KEYS, upgrade_key)
