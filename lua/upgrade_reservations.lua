--[[
upgrade_reservations: write records of reservations as they are kept now, where an earlier version kept them differently.

It kept what was taken of each limit among the counters of the first answer, and 0 for when the window of a counter began
that was removed. May be repeated.

KEYS
  [1..]  records of reservations
ARGV
  none
RETURNS
  {'upgraded', count}    how many of them were of an earlier version
WRITES
  only records of an earlier version
]]
--- @include "record_fields"
--- @include "first_answer_fields"
--- @include "pack_integers"
--- @include "unpack_integers"
--- @include "upgrade_each"
-- Of each limit usage, last_reset and held; then what was taken of it.
local function without_taken(packed)
  local numbers, counters, taken = unpack_integers(packed), {}, {}
  for at = 1, #numbers, 4 do
    local usage, last_reset, held = numbers[at], numbers[at + 1], numbers[at + 2]
    local last = #counters
    counters[last + 1], counters[last + 2], counters[last + 3] = usage, last_reset > 0 and last_reset or -1, held
    taken[#taken + 1] = numbers[at + 3]
  end
  return pack_integers(counters, #counters), pack_integers(taken, #taken)
end

-- Of a request that nobody reserved there is no first answer, and nothing stood in place of `begun`.
local function is_earlier(record)
  local first = record[FIRST]
  return #first == 6 or #first == 0 and record[BEGUN] == nil
end

local function upgrade_key(key)
  local packed = redis.call('GET', key)
  local record = packed and cmsgpack.unpack(packed)
  if not record or not is_earlier(record) then
    return 0
  end
  if #record[FIRST] > 0 then
    record[FIRST][COUNTERS], record[FIRST][TAKEN] = without_taken(record[FIRST][COUNTERS])
  end
  if record[SETTLED] then
    record[SETTLED][6] = without_taken(record[SETTLED][6])
  end
  record[BEGUN] = record[BEGUN] or false
  redis.call('SET', key, cmsgpack.pack(record), 'KEEPTTL')
  return 1
end

return upgrade_each(KEYS, upgrade_key)
