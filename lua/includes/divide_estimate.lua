--- @include "hold_for"
-- What an admitted request would take of each limit, by place (1 of a request limit), and what would stand aside for it
-- altogether: the smallest hold of each kind.
local function divide_estimate(plan, counters, estimates)
  local mode, holds = plan.limits.mode, plan.limits.mode ~= 'postpaid'
  local reserved = { tokens = holds and estimates.tokens or 0, budget = holds and estimates.budget or 0 }
  local taken = {}
  for number, kind in ipairs(plan.limits.kind) do
    taken[number] = 1
    if kind ~= 'requests' then
      taken[number] = hold_for(plan.max[number], counters[number], mode, estimates[kind])
      if plan.max[number] >= 0 then
        reserved[kind] = math.min(reserved[kind], taken[number])
      end
    end
  end
  return taken, reserved
end
