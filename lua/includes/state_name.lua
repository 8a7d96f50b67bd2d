--- @include "text_of"
local STATE = 's'

-- The field of a usage hash that has a state, by number of the state.
local function state_name(number)
  return STATE .. text_of(number)
end
