-- What a request that is admitted holds of one limit; 0: nothing.
local function hold_for(limit, counter, mode, estimate)
  if limit.kind == 'requests' or limit.max < 0 or mode == 'postpaid' then
    return 0
  elseif mode == 'strict' then
    return estimate
  end
  return math.min(estimate, limit.max - counter.usage - counter.held)
end
