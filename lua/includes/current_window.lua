--- @include "period_start"
-- Beginnings of calendar periods: within a script nearly all questions are about the same moment.
local started = { at = -1 }

-- The lazy reset: usage and last_reset as of `now`. A window that is over counts 0.
-- Rolling over length_ms when align is '', else following the calendar. The same as `current` in service/windows.py.
local function current_window(usage, last_reset, now, length_ms, align)
  if align == '' then
    if now - last_reset >= length_ms then
      return 0, now
    end
    return usage, last_reset
  end
  if started.at ~= now then
    started = { at = now }
  end
  local start = started[align] or period_start(align, now)
  started[align] = start
  if last_reset < start then
    return 0, start
  end
  return usage, last_reset
end
