--- @include "record_fields"
--- @include "first_answer_fields"
--- @include "read_taken"
--- @include "read_holds"
--- @include "remove_hold"
--- @include "charge"
--- @include "was_emptied"
-- Gives back what an open reservation took of its limits; `field` is where its holds are. A request goes back only while its
-- window is the one it was counted in, unless an admin has emptied that, and not where `keeps_requests`. What a lease that ran
-- out had charged is taken out of usage as far as that is still in it; answers by number of the limit how much is not, so that
-- a settlement charges no more than the difference.
local function return_taken(record, plan, field, keeps_requests)
  local shape, owners, states = plan.shape, plan.owners, plan.states
  local kinds, owner_of, slots, state_of, place_of = shape.kind, shape.owner, shape.slot, shape.state, shape.place
  local taken, stays = read_taken(record, plan), {}
  local last_owner, holds
  for number = 1, #kinds do
    local state, place, amount = states[state_of[number]], place_of[number], taken[number]
    local last_reset, slot = state[place + 1], slots[number]
    if amount == 0 or last_reset < 0 then
      -- Nothing was taken, or an admin has removed the limit.
    elseif kinds[number] == 'requests' then
      if not keeps_requests then
        -- The second of the three numbers of this limit says in which window.
        local counted_in = struct.unpack('<i8', record[FIRST][COUNTERS], 24 * (number - 1) + 9)
        if last_reset == counted_in and not was_emptied(owners[owner_of[number]], slot, record[FIRST][ADMITTED_AT]) then
          charge(state, place, -amount)
        end
      end
    else
      local owner = owner_of[number]
      if owner ~= last_owner then
        last_owner, holds = owner, read_holds(owners[owner], field)
      end
      if not remove_hold(shape, number, state, holds, amount) and record[FATE] == 'c' then
        if last_reset <= record[EXPIRES_AT] and not was_emptied(owners[owner], slot, record[EXPIRES_AT]) then
          charge(state, place, -amount)
        else
          stays[number] = amount
        end
      end
    end
  end
  return stays
end
