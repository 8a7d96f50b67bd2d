--- @include "state_field"
-- Where the counter of a limit is: number of a state that the plan needs, and place there. States are added to those of the
-- shape (`state_owner`, `state_field`: of which owner, in which field) and to what is read of the owner (`fields`).
local function locate_counter(limits, owner, slot)
  local field, place = state_field(slot)
  for state = 1, #limits.state_field do
    if limits.state_owner[state] == owner and limits.state_field[state] == field then
      return state, place
    end
  end
  local state, fields = #limits.state_field + 1, limits.fields[owner]
  limits.state_owner[state], limits.state_field[state] = owner, field
  fields[#fields + 1] = field
  return state, place
end
