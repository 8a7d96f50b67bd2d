--- @include "pack_integers"
-- One for all calls of a script: it would grow anew, again and again, for each of them.
local numbers = {}

-- Counters as an answer carries them, packed: usage, last_reset, held, taken of each limit.
local function pack_counters(counters, taken)
  local at = 0
  for number = 1, #counters do
    local counter = counters[number]
    if counter then
      numbers[at + 1], numbers[at + 2], numbers[at + 3] = counter.usage, counter.last_reset, counter.held
    else
      numbers[at + 1], numbers[at + 2], numbers[at + 3] = 0, 0, 0
    end
    at = at + 4
    numbers[at] = taken and taken[number] or 0
  end
  return pack_integers(numbers, at)
end
