--- @include "current_window"
--- @include "fill_state"
-- The counter at `place` of a state (parse_list) as of now; one that is not there says so. What it was before its window was
-- over stays at hand until something is charged (format_state).
local function enter_window(state, place, now, length_ms, align)
  fill_state(state, place)
  local was_usage, was_reset = state[place], state[place + 1]
  if was_reset >= 0 then
    local usage, last_reset = current_window(was_usage, was_reset, now, length_ms, align)
    if last_reset ~= was_reset then
      state.before = state.before or {}
      state.before[place] = { was_usage, was_reset }
      state[place], state[place + 1] = usage, last_reset
    end
  end
end
