--- @include "boundary_of"
--- @include "read_fields"
--- @include "current_window"
--- @include "state_field"
--- @include "parse_list"
--- @include "was_emptied"
-- Returns the holds of an owner that have run out, in the order in which they did: b holds are given back, c holds are
-- charged into the window of that moment, unless an admin has emptied the counter since. `owner_place` is that of the owner
-- among those of the shape, whose windows are known: a c hold on any other counter waits for a call that knows it. Changes
-- owner only; write_owners decides whether Redis follows.
local function return_expired(owner, shape, owner_place, now)
  local number_of = {}
  for at = (shape.last_of_owner[owner_place - 1] or 0) + 1, shape.last_of_owner[owner_place] do
    local number = shape.by_owner[at]
    number_of[shape.slot[number]] = number
  end
  -- Of a busy owner many are held, and few have run out: the others are not parsed.
  local stored, holds_of = read_fields(owner), owner.holds
  local expired, earliest = {}, nil
  for field, value in pairs(stored) do
    local boundary = boundary_of(field)
    if boundary and boundary <= now then
      holds_of[field] = holds_of[field] or parse_list(value)
      expired[#expired + 1] = field
    elseif boundary and not holds_of[field] and (not earliest or boundary < earliest) then
      earliest = boundary
    end
  end
  table.sort(expired, function(one, other)
    return boundary_of(one) < boundary_of(other)
  end)

  for _, field in ipairs(expired) do
    local charged, boundary, holds = string.sub(field, 1, 1) == 'c', boundary_of(field), holds_of[field]
    for at = 2, #holds, 2 do
      local slot, amount = holds[at], holds[at + 1]
      local in_field, place = state_field(slot)
      local state = owner.states[in_field] or parse_list(stored[in_field])
      owner.states[in_field] = state
      local number = number_of[slot]
      if (state[place + 1] or -1) < 0 then
        -- The limit was removed meanwhile.
        holds[at + 1] = 0
      elseif not charged or number then
        if charged and not was_emptied(owner, slot, boundary) then
          -- As it stood then: the window may be over by now, and only a change of usage begins another.
          local usage, last_reset =
            current_window(state[place], state[place + 1], boundary, shape.length_ms[number], shape.align[number])
          state[place], state[place + 1] = usage + amount, last_reset
          if state.before then
            state.before[place] = nil
          end
        end
        state[place + 2] = state[place + 2] - amount
        state[1] = true
        holds[at + 1] = 0
      end
    end
    holds[1] = true
  end

  for field, holds in pairs(holds_of) do
    for at = 3, #holds, 2 do
      if holds[at] > 0 then
        earliest = math.min(earliest or math.huge, boundary_of(field))
      end
    end
  end
  owner.earliest = earliest
end
