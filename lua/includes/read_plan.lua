--- @include "read_owner"
-- Counters by number of the limit (false: it was removed; then plan.incomplete), or nil when the configuration is not the one
-- that the plan was made of. A plan is read once per script; its counters are shared with other plans of the same owners.
local function read_plan(plan, keys, owners, global_version, now)
  if plan.counters ~= nil then
    return plan.counters or nil
  end
  plan.counters = false
  if plan.global_version >= 0 and plan.global_version ~= global_version then
    return nil
  end
  local limits, states = plan.limits, {}
  for place, version in ipairs(plan.versions) do
    local owner = read_owner(owners, keys[plan.keys[place]], limits, place, now)
    if version >= 0 and version ~= owner.version then
      return nil
    end
    states[place] = owner
  end
  plan.owners = states
  local counters = {}
  for number, slot in ipairs(limits.slot) do
    local counter = states[limits.owner[number]].counters[slot] or false
    counters[number] = counter
    plan.incomplete = plan.incomplete or not counter
  end
  plan.counters = counters
  return counters
end
