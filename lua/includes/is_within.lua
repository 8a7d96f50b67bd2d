-- Whether one more request is within a limit: docs/enforcement.md. `max` -1: no limit; `estimate` is what the request may use.
local function is_within(kind, max, counter, mode, estimate)
  if max < 0 then
    return true
  elseif kind == 'requests' then
    return counter.usage + 1 <= max
  elseif mode == 'postpaid' then
    return counter.usage < max
  end
  local taken = counter.usage + counter.held
  return taken < max and (mode == 'clamp' or taken + estimate <= max)
end
