--- @include "format_of"
-- The numbers that pack_counters was given, one after the other.
local function unpack_counters(packed)
  -- The last value is where reading ended.
  return { struct.unpack(format_of(#packed / 8), packed) }
end
