-- usage, last_reset and held of a counter as its field of the usage hash keeps them.
local function unpack_counter(packed)
  local usage, last_reset, held = struct.unpack('<i8i8i8', packed)
  return usage, last_reset, held
end
