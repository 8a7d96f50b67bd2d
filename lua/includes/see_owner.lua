--- @include "return_expired"
--- @include "enter_window"
-- One owner of a plan as of now: holds that have run out and windows that are over are taken into account for the limits of
-- this shape (`limits`), at its first plan of a script. `owner.lacks`: the shape, where one of its counters was removed.
local function see_owner(owner, limits, place, now)
  local states, state_of, place_of = owner.states, limits.state, limits.place
  if owner.earliest and owner.earliest <= now then
    return_expired(owner, limits, place, now)
  end
  owner.seen_by = limits
  local by_owner, last_of_owner = limits.by_owner, limits.last_of_owner
  for at = (last_of_owner[place - 1] or 0) + 1, last_of_owner[place] do
    local number = by_owner[at]
    local state, counter = states[limits.state_field[state_of[number]]], place_of[number]
    local last_reset = state[counter + 1]
    if not last_reset or last_reset < limits.since[number] then
      enter_window(state, counter, now, limits.length_ms[number], limits.align[number])
      if state[counter + 1] < 0 then
        owner.lacks = limits
      end
    end
  end
end
