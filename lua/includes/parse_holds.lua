-- Holds of one owner that run out together, from text such as '3:500 7:20': amount by slot (as text).
local function parse_holds(text)
  local holds = {}
  for slot, amount in string.gmatch(text, '(%d+):(%d+)') do
    holds[slot] = tonumber(amount)
  end
  return holds
end
