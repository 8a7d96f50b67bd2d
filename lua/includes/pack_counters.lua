--- @include "pack_integers"
-- One table for all calls of a script: each new one would have to grow again.
local counters = {}

-- Counters as an answer carries them, packed: usage, last_reset (-1: it was removed), held of each limit of a plan.
local function pack_counters(plan)
  local states, state_of, place_of, last = plan.states, plan.shape.state, plan.shape.place, 0
  for number = 1, #state_of do
    local state, place = states[state_of[number]], place_of[number]
    counters[last + 1], counters[last + 2], counters[last + 3] = state[place], state[place + 1], state[place + 2]
    last = last + 3
  end
  return pack_integers(counters, last)
end
