-- Adds to the usage of a counter, into the window that is current now. Stops at the largest exact number.
local function charge(state, place, amount)
  if amount ~= 0 then
    local usage = state[place] + amount
    state[place] = usage < 0 and 0 or usage > 9007199254740991 and 9007199254740991 or usage
    state[1] = true
    if state.before then
      state.before[place] = nil
    end
  end
end
