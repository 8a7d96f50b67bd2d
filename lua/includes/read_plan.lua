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
  local limits, states, places, versions = plan.limits, {}, plan.keys, plan.versions
  for place = 1, #limits.numbers do
    -- Two numbers come before the keys, three before the versions.
    local owner, version = read_owner(owners, keys[places[2 + place]], limits, place, now), versions[3 + place]
    if version >= 0 and version ~= owner.version then
      return nil
    end
    states[place] = owner
  end
  local counters, owner_of, slots = {}, limits.owner, limits.slot
  for number = 1, #slots do
    local counter = states[owner_of[number]].counters[slots[number]]
    counters[number] = counter or false
    if not counter then
      plan.incomplete = true
    end
  end
  plan.owners = states
  plan.counters = counters
  return counters
end
