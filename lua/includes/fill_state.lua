-- Makes room in a state (parse_list) for the counter at `place`: what was not there says so.
local function fill_state(state, place)
  for missing = #state + 1, place, 3 do
    state[missing], state[missing + 1], state[missing + 2] = 0, -1, 0
  end
end
