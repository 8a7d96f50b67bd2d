local formats = {}

-- For struct: so many integers of 8 bytes, little endian.
local function format_of(count)
  local format = formats[count]
  if not format then
    format = '<' .. string.rep('i8', count)
    formats[count] = format
  end
  return format
end
