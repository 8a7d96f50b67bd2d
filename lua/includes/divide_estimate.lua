--- @include "hold_for"
-- What an admitted request takes of each limit, by place (1 of a request limit), and what stands aside for it altogether:
-- the smallest hold of each kind.
local function divide_estimate(plan, counters, estimates)
  local holds = plan.limits.mode ~= 'postpaid'
  local reserved = { tokens = holds and estimates.tokens or 0, budget = holds and estimates.budget or 0 }
  local taken = {}
  for number, kind in ipairs(plan.limits.kind) do
    if kind == 'requests' then
      taken[number] = 1
    else
      local max = plan.max[number]
      taken[number] = hold_for(max, counters[number], plan.limits.mode, estimates[kind])
      if max >= 0 then
        reserved[kind] = math.min(reserved[kind], taken[number])
      end
    end
  end
  return taken, reserved
end
