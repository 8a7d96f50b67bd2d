--- @include "remove_hold"
--- @include "charge"
-- Gives back what an open reservation took of one limit. A request goes back only while its window is the one it was
-- counted in. What a lease that ran out had charged is taken out of usage as far as that is still in it; answers how much
-- it was, so that a settlement charges no more than the difference.
local function return_taken(record, plan, counters, number, keep_request)
  local limit, counter = plan.limits[number], counters[number]
  local taken = record.first[5][4 * number]
  local counted_in = record.first[5][4 * number - 2]
  if not counter or taken == 0 then
    return 0
  elseif limit.kind == 'requests' then
    if not keep_request and counter.last_reset == counted_in then
      charge(counter, -taken)
    end
    return 0
  end
  local owner = plan.owner_states[limit.owner]
  if remove_hold(owner, counter, limit.slot, taken, record.fate, record.expires_at) or record.fate == 'b' then
    return 0
  elseif counter.last_reset <= record.expires_at then
    charge(counter, -taken)
    return 0
  end
  return taken
end
