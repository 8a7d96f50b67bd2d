-- Adds to the usage of a counter, into the window that is current now. Stops at the largest exact number.
local function charge(counter, amount)
  if amount ~= 0 then
    counter.usage = math.min(math.max(counter.usage + amount, 0), 9007199254740991)
    counter.counted = true
  end
end
