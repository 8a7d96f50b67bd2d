local fields = { b = {}, c = {} }

-- Where a usage hash keeps the holds that run out together. `fate`: b given back then, c charged then.
local function hold_field(fate, boundary)
  local field = fields[fate][boundary]
  if not field then
    field = string.format('%s%.0f', fate, boundary)
    fields[fate][boundary] = field
  end
  return field
end
