--- @include "record_fields"
--- @include "remove_hold"
--- @include "charge"
-- Gives back what an open reservation took of one limit (`taken`, see read_taken); `field` is where its holds are. A request
-- goes back only while its window is the one it was counted in. What a lease that ran out had charged is taken out of usage as
-- far as that is still in it; answers how much it was, so that a settlement charges no more than the difference.
local function return_taken(record, plan, number, taken, field, keep_request)
  local limits = plan.limits
  local state, place = plan.states[limits.state[number]], limits.place[number]
  local last_reset = state[place + 1]
  if last_reset < 0 or taken == 0 then
    return 0
  elseif limits.kind[number] == 'requests' then
    -- The second of the three numbers of this limit says in which window.
    if not keep_request and last_reset == struct.unpack('<i8', record[FIRST][5], 24 * (number - 1) + 9) then
      charge(state, place, -taken)
    end
    return 0
  end
  local owner = plan.owners[limits.owner[number]]
  if remove_hold(owner, state, place, limits.slot[number], taken, field) or record[FATE] == 'b' then
    return 0
  elseif last_reset <= record[EXPIRES_AT] then
    charge(state, place, -taken)
    return 0
  end
  return taken
end
