--- @include "is_within"
-- In order of checks: limits before the gate, the key, the other limits. Answers 'granted', 'blocked', 'expired' or
-- 'refused', the places of the limits that refuse, and those of all that would.
local function decide(plan, counters, estimates, now)
  local before, over = {}, {}
  for number, kind in ipairs(plan.limits.kind) do
    if not is_within(kind, plan.max[number], counters[number], plan.limits.mode, estimates[kind]) then
      over[#over + 1] = number
      if number <= plan.limits.gate then
        before[#before + 1] = number
      end
    end
  end

  if #before > 0 then
    return 'refused', before, over
  elseif plan.expires_at and now >= plan.expires_at then
    return 'expired', {}, over
  elseif plan.blocked then
    return 'blocked', {}, over
  elseif #over > 0 then
    return 'refused', over, over
  end
  return 'granted', {}, over
end
