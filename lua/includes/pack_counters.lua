-- Counters as an answer carries them: usage, last_reset, held, taken of each limit, integers of 8 bytes, little endian.
-- One string costs Redis, the record that keeps it and the caller less than a list of all these numbers.
local function pack_counters(counters, taken)
  local list = {}
  for number, counter in ipairs(counters) do
    local at = 4 * number
    if counter then
      list[at - 3], list[at - 2], list[at - 1] = counter.usage, counter.last_reset, counter.held
    else
      list[at - 3], list[at - 2], list[at - 1] = 0, 0, 0
    end
    list[at] = taken[number] or 0
  end
  return struct.pack('<' .. string.rep('i8', #list), unpack(list))
end
