--- @include "hold_for"
-- What an admitted request takes of each limit, by place (1 of a request limit), and what stands aside for it altogether:
-- the smallest hold of each kind.
local function divide_estimate(plan, counters, estimates)
  local holds = plan.mode ~= 'postpaid'
  local reserved = { tokens = holds and estimates.tokens or 0, budget = holds and estimates.budget or 0 }
  local taken = {}
  for number, limit in ipairs(plan.limits) do
    if limit.kind == 'requests' then
      taken[number] = 1
    else
      taken[number] = hold_for(limit, counters[number], plan.mode, estimates[limit.kind])
      if limit.max >= 0 then
        reserved[limit.kind] = math.min(reserved[limit.kind], taken[number])
      end
    end
  end
  return taken, reserved
end
