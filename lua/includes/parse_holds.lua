--- @include "unpack_integers"
-- Holds of one owner that run out together: amount by slot. They are kept as slot and amount, one after the other,
-- integers of 8 bytes.
local function parse_holds(packed)
  local holds = {}
  if packed then
    local numbers = unpack_integers(packed)
    -- The last value is where reading ended.
    for place = 1, #numbers - 1, 2 do
      holds[numbers[place]] = numbers[place + 1]
    end
  end
  return holds
end
