--- @include "format_of"
-- What parse_list reads. Only a change of usage begins another window, a hold alone does not: what the counter was before
-- (enter_window) is what is written then.
local function format_state(state)
  if state.before then
    for place, was in pairs(state.before) do
      state[place], state[place + 1] = was[1], was[2]
    end
  end
  return struct.pack(format_of(#state - 1), unpack(state, 2))
end
