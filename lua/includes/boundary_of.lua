local GIVEN_BACK, CHARGED = string.byte('bc', 1, 2)

-- When holds run out that a usage hash keeps in this field (hold_field); nil: it keeps something else.
local function boundary_of(field)
  local kind = string.byte(field)
  return (kind == GIVEN_BACK or kind == CHARGED) and tonumber(string.sub(field, 2)) or nil
end
