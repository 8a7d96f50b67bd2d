--- @include "format_of"
-- Some counters of an owner (state_field says which), a list: whether it changed since it was read, then three numbers each:
-- usage, when its window began (-1: there is no such counter), what is held.
local function parse_state(packed)
  if not packed then
    return { false }
  end
  local state = { false, struct.unpack(format_of(#packed / 8), packed) }
  -- The last value is where reading ended.
  state[#state] = nil
  return state
end
