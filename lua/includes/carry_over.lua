--- @include "current_window"
-- usage and last_reset of a counter whose window changes (CarryOver in service/windows.py).
-- What the window so far had forgotten must not come back in a longer one; into_length_ms 0: last_reset stays.
local function carry_over(usage, last_reset, now, was_length_ms, was_align, into_length_ms, into_align)
  usage, last_reset = current_window(usage, last_reset, now, was_length_ms, was_align)
  if into_length_ms > 0 then
    local _
    _, last_reset = current_window(usage, last_reset, now, into_length_ms, into_align)
  end
  return usage, last_reset
end
