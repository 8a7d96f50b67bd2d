--- @include "format_of"
-- What parse_list reads; nil when nothing is held.
local function format_holds(holds)
  local last = #holds
  -- The last one takes the place of one that is empty.
  for at = last, 3, -2 do
    if holds[at] <= 0 then
      holds[at - 1], holds[at] = holds[last - 1], holds[last]
      holds[last - 1], holds[last] = nil, nil
      last = last - 2
    end
  end
  return last > 1 and struct.pack(format_of(last - 1), unpack(holds, 2)) or nil
end
