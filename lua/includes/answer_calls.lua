-- The reply to a batch: what `answer_of` says of each call, given the place of its first argument (`width` each) and its number.
local function answer_calls(batch, now, width, answer_of)
  local reply = { now }
  for number = 1, batch.calls do
    reply[1 + number] = answer_of(batch.first_call + width * (number - 1), number)
  end
  return reply
end
