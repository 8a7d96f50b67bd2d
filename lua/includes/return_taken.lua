--- @include "remove_hold"
--- @include "charge"
-- Gives back what an open reservation took of one limit; `first` are its numbers (unpack_integers) and `field` is where its
-- holds are. A request goes back only while its window is the one it was counted in. What a lease that ran out had charged is
-- taken out of usage as far as that is still in it; answers how much it was, so that a settlement charges no more than the
-- difference.
local function return_taken(record, plan, counters, number, first, field, keep_request)
  local counter, taken = counters[number], first[4 * number]
  if not counter or taken == 0 then
    return 0
  elseif plan.limits.kind[number] == 'requests' then
    local counted_in = first[4 * number - 2]
    if not keep_request and counter.last_reset == counted_in then
      charge(counter, -taken)
    end
    return 0
  end
  local owner = plan.owners[plan.limits.owner[number]]
  if remove_hold(owner, counter, plan.limits.slot[number], taken, field) or record.fate == 'b' then
    return 0
  elseif counter.last_reset <= record.expires_at then
    charge(counter, -taken)
    return 0
  end
  return taken
end
