--- @include "format_of"
-- The holds of one owner that run out together, a list: whether it changed since it was read, then slot and amount, one after
-- the other. They are kept as integers of 8 bytes.
local function parse_holds(packed)
  if not packed then
    return { false }
  end
  local holds = { false, struct.unpack(format_of(#packed / 8), packed) }
  -- The last value is where reading ended.
  holds[#holds] = nil
  return holds
end
