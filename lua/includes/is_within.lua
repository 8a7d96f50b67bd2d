-- Whether one more request is within a limit: enforcement.md 4. `estimate` is what the request may use of it.
local function is_within(limit, counter, mode, estimate)
  if limit.max < 0 then
    return true
  elseif limit.kind == 'requests' then
    return counter.usage + 1 <= limit.max
  elseif mode == 'postpaid' then
    return counter.usage < limit.max
  end
  local taken = counter.usage + counter.held
  return taken < limit.max and (mode == 'clamp' or taken + estimate <= limit.max)
end
