-- Adds to the usage of a counter, into the window that is current now. Stops at the largest exact number.
local function charge(counter, amount)
  if amount ~= 0 then
    local usage = counter.usage + amount
    counter.usage = usage < 0 and 0 or usage > 9007199254740991 and 9007199254740991 or usage
    counter.counted = true
  end
end
