-- What is known of the owners of a plan will be written: a call was granted, settled or the like.
local function mark_owners(plan)
  local owners = plan.owners
  for place = 1, #owners do
    owners[place].is_changed = true
  end
end
