--- @include "read_owner"
--- @include "see_owner"
-- Reads the owners of a plan (`plan.owners`) and the states that have its counters, as of now (`plan.states`: by number of the
-- state). False when the configuration is not the one that the plan was made of; `plan.lacks`: one of its counters was
-- removed. A plan is read once per script; owners are shared with other plans. `field`: see read_owner.
local function read_plan(plan, keys, owners, global_version, now, field)
  if plan.states ~= nil then
    return plan.states
  end
  plan.states = false
  local shape, numbers = plan.shape, plan.numbers
  local checked = numbers[shape.global_version]
  if checked >= 0 and checked ~= global_version then
    return false
  end
  -- Room for what most plans have: a list that grows is made anew at each power of two.
  local found, states = { nil, nil, nil, nil, nil, nil }, { nil, nil, nil, nil, nil, nil, nil, nil }
  local keys_at, versions = shape.keys, shape.versions
  for place = 1, shape.owners do
    local key, version = keys[numbers[keys_at + place]], numbers[versions + place]
    local owner = owners[key]
    local is_seen = owner and owner.seen_by == shape
    if not is_seen then
      owner = read_owner(owners, key, shape, place, field)
    end
    -- Before its counters are looked at: another configuration has other windows, and the calls to come would see those.
    if version >= 0 and version ~= owner.version then
      return false
    end
    if not is_seen then
      see_owner(owner, shape, place, now)
    end
    if owner.lacks == shape then
      plan.lacks = true
    end
    found[place] = owner
  end
  local state_owner, state_field_of = shape.state_owner, shape.state_field
  for number = 1, #state_owner do
    states[number] = found[state_owner[number]].states[state_field_of[number]]
  end
  plan.owners, plan.states = found, states
  return states
end
