--- @include "read_holds"
-- Sets an amount aside until `boundary`, in the field (hold_field) of the holds that run out then.
local function add_hold(owner, counter, slot, amount, field, boundary)
  local holds = read_holds(owner, field)
  holds[slot] = (holds[slot] or 0) + amount
  owner.changed[field] = true
  if not owner.earliest or boundary < owner.earliest then
    owner.earliest = boundary
  end
  counter.held = counter.held + amount
  counter.holding = true
end
