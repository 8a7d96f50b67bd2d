-- When holds run out that a usage hash keeps in this field (hold_field); nil: it keeps something else.
local function boundary_of(field)
  local kind = string.byte(field)
  return (kind == 98 or kind == 99) and tonumber(string.sub(field, 2)) or nil
end
