--- @include "read_holds"
--- @include "find_hold"
-- Sets aside of each limit what `amounts` has by its number, or else by its kind, until `boundary`: in the field (hold_field)
-- of the holds that run out then. Of limits that refuse nothing (-1), and of requests, nothing is.
local function add_holds(plan, amounts, field, boundary)
  local shape, numbers, owners, states = plan.shape, plan.numbers, plan.owners, plan.states
  local kinds, maxima, owner_of, slots = shape.kind, shape.maxima, shape.owner, shape.slot
  local state_of, place_of, hold_at = shape.state, shape.place, shape.hold_at
  local last_owner, holds
  for number = 1, #kinds do
    local kind = kinds[number]
    local amount = amounts[number] or amounts[kind]
    if kind ~= 'requests' and amount > 0 and numbers[maxima + number] >= 0 then
      local owner = owner_of[number]
      if owner ~= last_owner then
        last_owner = owner
        owner = owners[owner]
        holds = read_holds(owner, field)
        holds[1] = true
        if not owner.earliest or boundary < owner.earliest then
          owner.earliest = boundary
        end
      end
      -- Where it was with the last plan of this shape is where it is, nearly always.
      local at, slot = hold_at[number], slots[number]
      if holds[at - 1] ~= slot then
        at = find_hold(holds, slot) or #holds + 2
        holds[at - 1], holds[at] = slot, holds[at] or 0
        hold_at[number] = at
      end
      holds[at] = holds[at] + amount
      local state, held = states[state_of[number]], place_of[number] + 2
      state[held] = state[held] + amount
      state[1] = true
    end
  end
end
