-- Counters as an answer carries them: usage, last_reset, held, taken of each limit, one after the other.
local function list_counters(counters, taken)
  local list = {}
  for number, counter in ipairs(counters) do
    local at = 4 * number - 3
    if counter then
      list[at], list[at + 1], list[at + 2] = counter.usage, counter.last_reset, counter.held
    else
      list[at], list[at + 1], list[at + 2] = 0, 0, 0
    end
    list[at + 3] = taken[number] or 0
  end
  return list
end
