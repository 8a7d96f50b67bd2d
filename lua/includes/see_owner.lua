--- @include "read_owner"
--- @include "return_expired"
--- @include "enter_window"
-- One owner of a plan as of now: holds that have run out and windows that are over are taken into account for the limits of
-- this shape (`limits`), at its first plan of a script. `owner.lacks`: the shape, where one of its counters was removed.
local function see_owner(owners, key, limits, place, now, field)
  local owner = owners[key] or read_owner(owners, key, limits, place, field)
  local states, state_of, place_of = owner.states, limits.state, limits.place
  for number = 1, #limits.state_field do
    if limits.state_owner[number] == place and not states[limits.state_field[number]] then
      -- It was read for other limits.
      read_owner(owners, key, limits, place, field)
    end
  end
  if owner.earliest and owner.earliest <= now then
    return_expired(owner, limits, place, now)
  end
  owner.seen_by = limits
  local numbers = limits.numbers[place]
  for at = 1, #numbers do
    local number = numbers[at]
    local state, counter = states[limits.state_field[state_of[number]]], place_of[number]
    local last_reset = state[counter + 1]
    if not last_reset or last_reset < limits.since[number] then
      enter_window(state, counter, now, limits.length_ms[number], limits.align[number])
      if state[counter + 1] < 0 then
        owner.lacks = limits
      end
    end
  end
  return owner
end
