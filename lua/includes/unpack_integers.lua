--- @include "format_of"
-- The integers that pack_integers was given, one after the other.
local function unpack_integers(packed)
  local numbers = { struct.unpack(format_of(#packed / 8), packed) }
  -- The last value is where reading ended.
  numbers[#numbers] = nil
  return numbers
end
