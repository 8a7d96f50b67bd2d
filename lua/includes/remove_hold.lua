--- @include "find_hold"
-- Gives back what add_holds set aside of a limit (its number); `holds` are those of its owner that run out with it (read_holds).
-- False: it ran out before, and was returned by then.
local function remove_hold(shape, number, state, holds, amount)
  -- Where it was with the last plan of this shape is where it is, nearly always.
  local hold_at, slot = shape.hold_at, shape.slot[number]
  local at = hold_at[number]
  if holds[at - 1] ~= slot then
    at = find_hold(holds, slot)
    if not at then
      return false
    end
    hold_at[number] = at
  end
  if holds[at] < amount then
    return false
  end
  local held = shape.place[number] + 2
  holds[at] = holds[at] - amount
  holds[1] = true
  state[held] = state[held] - amount
  state[1] = true
  return true
end
