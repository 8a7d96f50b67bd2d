--- @include "format_of"
-- What a field of a usage hash keeps as integers of 8 bytes, as a list behind a flag: whether it changed since it was read. Of
-- a state (state_field says which counters it has) three numbers a counter: usage, when its window began (-1: there is no such
-- counter), what is held. Of holds that run out together slot and amount, one after the other.
local function parse_list(packed)
  if not packed then
    return { false }
  end
  local list = { false, struct.unpack(format_of(#packed / 8), packed) }
  -- The last value is where reading ended.
  list[#list] = nil
  return list
end
