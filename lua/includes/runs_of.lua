--- @include "format_of"
-- Which parts of which states say all that there is to say of the counters, in the order of the limits: state, first and last
-- place, format, one after the other. Counters that follow each other there, too, are one part.
local function runs_of(limits)
  local runs, last = {}, -3
  for number, state in ipairs(limits.state) do
    local place = limits.place[number]
    if runs[last] == state and runs[last + 2] + 1 == place then
      runs[last + 2] = place + 2
    else
      last = last + 4
      runs[last], runs[last + 1], runs[last + 2] = state, place, place + 2
    end
    runs[last + 3] = format_of(runs[last + 2] - runs[last + 1] + 1)
  end
  return runs
end
