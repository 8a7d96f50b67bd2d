--- @include "state_name"
local SLOTS_OF_A_STATE = 8

-- Where a usage hash keeps the counter of a slot: the field of its state (parse_list) and the place of its usage there, which
-- when its window began and what is held follow.
local function state_field(slot)
  return state_name(math.floor((slot - 1) / SLOTS_OF_A_STATE)), 2 + 3 * ((slot - 1) % SLOTS_OF_A_STATE)
end
