-- Where a list of holds (parse_list) has the amount of this slot; nil: nowhere.
local function find_hold(holds, slot)
  for at = 3, #holds, 2 do
    if holds[at - 1] == slot then
      return at
    end
  end
end
