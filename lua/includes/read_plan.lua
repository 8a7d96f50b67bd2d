--- @include "read_owner"
-- Counters by place in plan.limits (false: the limit was removed; then plan.incomplete), or nil when the configuration is
-- not the one that the plan was made of. A plan is read once per script; its counters are shared with other plans of the
-- same owners.
local function read_plan(plan, keys, owners, global_version, now)
  if plan.counters ~= nil then
    return plan.counters or nil
  end
  plan.counters = false
  if plan.global_version >= 0 and plan.global_version ~= global_version then
    return nil
  end
  plan.owner_states = {}
  for number, planned in ipairs(plan.owners) do
    local owner = read_owner(owners, keys[plan.keys[number]], planned, plan.limits, now)
    if planned.version >= 0 and planned.version ~= owner.version then
      return nil
    end
    plan.owner_states[number] = owner
  end
  plan.counters = {}
  for number, limit in ipairs(plan.limits) do
    local counter = plan.owner_states[limit.owner].counters[limit.slot] or false
    plan.counters[number] = counter
    plan.incomplete = plan.incomplete or not counter
  end
  return plan.counters
end
