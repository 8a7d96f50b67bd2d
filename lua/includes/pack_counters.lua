-- One for all calls of a script: it would grow anew, again and again, for each of them.
local pieces = {}

-- Counters as an answer carries them, packed: usage, last_reset (-1: it was removed), held of each limit of a plan.
local function pack_counters(plan)
  local states, runs, count = plan.states, plan.limits.runs, 0
  for at = 1, #runs, 4 do
    count = count + 1
    pieces[count] = struct.pack(runs[at + 3], unpack(states[runs[at]], runs[at + 1], runs[at + 2]))
  end
  return table.concat(pieces, '', 1, count)
end
