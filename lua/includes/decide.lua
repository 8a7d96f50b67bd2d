-- In order of checks: limits before the gate, the key, the other limits. Answers 'granted', 'blocked', 'expired' or
-- 'refused', the places of the limits that refuse, and those of all that would. What a limit admits: docs/enforcement.md;
-- `max` -1: everything.
local function decide(plan, counters, estimates, now)
  local limits, maxima = plan.limits, plan.max
  local mode, gate, kinds = limits.mode, limits.gate, limits.kind
  local before, over = {}, {}
  for number = 1, #kinds do
    local kind, max, counter = kinds[number], maxima[number], counters[number]
    if max >= 0 then
      local is_within
      if kind == 'requests' or mode == 'postpaid' then
        is_within = counter.usage < max
      else
        local taken = counter.usage + counter.held
        is_within = taken < max and (mode == 'clamp' or taken + estimates[kind] <= max)
      end
      if not is_within then
        over[#over + 1] = number
        if number <= gate then
          before[#before + 1] = number
        end
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
  return 'granted', over, over
end
