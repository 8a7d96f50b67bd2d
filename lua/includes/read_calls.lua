-- The calls of a batch, each as `make` makes it of its `width` arguments.
local function read_calls(batch, args, width, make)
  local calls, at = {}, batch.first_call
  for number = 1, batch.calls do
    calls[number] = make(unpack(args, at, at + width - 1))
    at = at + width
  end
  return calls
end
