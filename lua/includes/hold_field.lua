-- Where a usage hash keeps the holds that run out together. `fate`: b given back then, c charged then.
local function hold_field(fate, boundary)
  return string.format('%s%.0f', fate, boundary)
end
