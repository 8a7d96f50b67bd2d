-- What a request that is admitted holds of one limit on tokens or money; 0: nothing.
local function hold_for(max, counter, mode, estimate)
  if max < 0 or mode == 'postpaid' then
    return 0
  elseif mode == 'strict' then
    return estimate
  end
  local left = max - counter.usage - counter.held
  return left < estimate and left or estimate
end
