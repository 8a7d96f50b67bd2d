-- What unpack_counter reads.
local function pack_counter(usage, last_reset, held)
  return struct.pack('<i8i8i8', usage, last_reset, held)
end
