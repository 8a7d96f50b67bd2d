--- @include "save_plan"
-- Saves the plans that calls of this batch were granted by, where the caller sent their text: replays, and workers that
-- did not make them, read them. plan.text '': it was saved not long ago. They live `ttl_ms` longer than the longest lease.
local function write_plans(plans, keys, ttl_ms)
  for _, plan in ipairs(plans) do
    if plan.lease_ms >= 0 and plan.text ~= '' then
      save_plan(keys[plan.numbers[plan.shape.plan_key]], plan.text, plan.lease_ms + ttl_ms)
    end
  end
end
