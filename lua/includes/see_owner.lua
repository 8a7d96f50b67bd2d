--- @include "return_expired"
--- @include "enter_window"
-- One owner of a plan as of now: holds that have run out and windows that are over are taken into account for the limits of
-- this shape, at its first plan of a script. `owner.lacks`: the shape, where one of its counters was removed.
local function see_owner(owner, shape, place, now)
  local states, state_of, place_of = owner.states, shape.state, shape.place
  if owner.earliest and owner.earliest <= now then
    return_expired(owner, shape, place, now)
  end
  owner.seen_by = shape
  local by_owner, last_of_owner = shape.by_owner, shape.last_of_owner
  for at = (last_of_owner[place - 1] or 0) + 1, last_of_owner[place] do
    local number = by_owner[at]
    local state, counter = states[shape.state_field[state_of[number]]], place_of[number]
    local last_reset = state[counter + 1]
    if not last_reset or last_reset < shape.since[number] then
      enter_window(state, counter, now, shape.length_ms[number], shape.align[number])
      if state[counter + 1] < 0 then
        owner.lacks = shape
      end
    end
  end
end
