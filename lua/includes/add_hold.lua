--- @include "read_holds"
-- Sets an amount aside until `boundary`. `fate`: b given back then, c charged then.
local function add_hold(owner, counter, slot, amount, fate, boundary)
  local field = string.format('%s%.0f', fate, boundary)
  local holds = read_holds(owner, field)
  holds[slot] = (holds[slot] or 0) + amount
  owner.changed[field] = true
  owner.earliest = math.min(owner.earliest or boundary, boundary)
  counter.held = counter.held + amount
  counter.holding = true
end
