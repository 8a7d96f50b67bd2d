--- @include "hold_for"
-- One for all calls of a script, as in pack_counters.
local taken = {}

-- What an admitted request takes of each limit, by place (1 of a request limit; to be used before the next call), and what
-- stands aside for it altogether: the smallest hold of each kind.
local function divide_estimate(plan, counters, estimates)
  local kinds, maxima, mode = plan.limits.kind, plan.max, plan.limits.mode
  local holds = mode ~= 'postpaid'
  local reserved = { tokens = holds and estimates.tokens or 0, budget = holds and estimates.budget or 0 }
  for number = 1, #kinds do
    local kind, max, amount = kinds[number], maxima[number], 1
    if kind ~= 'requests' then
      amount = hold_for(max, counters[number], mode, estimates[kind])
      if max >= 0 and amount < reserved[kind] then
        reserved[kind] = amount
      end
    end
    taken[number] = amount
  end
  return taken, reserved
end
