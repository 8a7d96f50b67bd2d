--- @include "is_within"
-- In order of checks: limits before the gate, the key, the other limits. Answers 'granted', 'blocked', 'expired' or
-- 'refused' with the places of the limits that refuse, and of all that would.
local function decide(plan, counters, estimates, now)
  local before, after = {}, {}
  for number, limit in ipairs(plan.limits) do
    if not is_within(limit, counters[number], plan.mode, estimates[limit.kind]) then
      local list = number <= plan.gate and before or after
      list[#list + 1] = number
    end
  end
  local all = {}
  for _, list in ipairs({ before, after }) do
    for _, number in ipairs(list) do
      all[#all + 1] = number
    end
  end

  if #before > 0 then
    return 'refused', before, all
  elseif plan.expires_at > 0 and now >= plan.expires_at then
    return 'expired', after, all
  elseif plan.blocked then
    return 'blocked', after, all
  elseif #after > 0 then
    return 'refused', after, all
  end
  return 'granted', after, all
end
