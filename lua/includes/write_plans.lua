-- Saves the plans that calls of this batch were granted by, where the caller sent their text: replays, and workers that
-- did not make them, read them. plan.text '': it was saved not long ago.
local function write_plans(plans, keys, ttl_ms)
  for _, plan in ipairs(plans) do
    if plan.used and plan.text ~= '' then
      redis.call('SET', keys[plan.numbers[plan.shape.plan_key]], plan.text, 'PX', ttl_ms)
    end
  end
end
