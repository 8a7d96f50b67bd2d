--- @include "read_holds"
--- @include "find_hold"
-- Gives back what add_hold set aside. False: it ran out before, and was returned by then.
local function remove_hold(owner, state, place, slot, amount, field)
  local holds = owner.holds[field] or read_holds(owner, field)
  local at = find_hold(holds, slot)
  if not at or holds[at] < amount then
    return false
  end
  holds[at] = holds[at] - amount
  holds[1] = true
  state[place + 2] = state[place + 2] - amount
  state[1] = true
  return true
end
