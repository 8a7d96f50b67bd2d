--- @include "pack_integers"
-- What parse_holds reads; nil when nothing is held.
local function format_holds(holds)
  local numbers, at = {}, 0
  for slot, amount in pairs(holds) do
    numbers[at + 1], numbers[at + 2] = slot, amount
    at = at + 2
  end
  return at > 0 and pack_integers(numbers, at) or nil
end
