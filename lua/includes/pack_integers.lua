--- @include "format_of"
-- The first `count` numbers of a list as integers of 8 bytes, little endian. One string costs Redis, whoever keeps it and the
-- caller less than a list of numbers.
local function pack_integers(numbers, count)
  return struct.pack(format_of(count), unpack(numbers, 1, count))
end
