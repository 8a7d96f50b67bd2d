--- @include "read_holds"
-- Gives back what add_hold set aside. False: it ran out before, and was returned by then.
local function remove_hold(owner, counter, slot, amount, field)
  local holds = read_holds(owner, field)
  if (holds[slot] or 0) < amount then
    return false
  end
  holds[slot] = holds[slot] > amount and holds[slot] - amount or nil
  owner.changed[field] = true
  counter.held = counter.held - amount
  counter.holding = true
  return true
end
