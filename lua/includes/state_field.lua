local SLOTS_OF_A_STATE = 8
local fields = {}

-- Where a usage hash keeps the counter of a slot: the field of its state (read_state) and the place of its usage there, which
-- when its window began and what is held follow.
local function state_field(slot)
  local number = math.floor((slot - 1) / SLOTS_OF_A_STATE)
  local field = fields[number]
  if not field then
    field = string.format('s%.0f', number)
    fields[number] = field
  end
  return field, 2 + 3 * ((slot - 1) % SLOTS_OF_A_STATE)
end
