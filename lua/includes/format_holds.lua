-- The text that parse_holds reads; '' when nothing is held.
local function format_holds(holds)
  local parts = {}
  for slot, amount in pairs(holds) do
    -- '..' would write 1e14 as 1e+14.
    parts[#parts + 1] = string.format('%s:%.0f', slot, amount)
  end
  return table.concat(parts, ' ')
end
