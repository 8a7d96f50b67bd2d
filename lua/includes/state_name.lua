local names = {}

-- The field of a usage hash that has a state, by number of the state: seldom another than the first few.
local function state_name(number)
  local name = names[number]
  if not name then
    name = string.format('s%.0f', number)
    names[number] = name
  end
  return name
end
