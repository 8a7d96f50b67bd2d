--- @include "record_fields"
--- @include "first_answer_fields"
--- @include "unpack_integers"
-- What a reservation took of each limit of its plan, by number. The record has it only where a limit had less left than the
-- estimate: elsewhere it took one request and what it reserved. A limit that refuses nothing (-1) has nothing set aside.
local function read_taken(record, plan)
  local first, shape = record[FIRST], plan.shape
  if first[TAKEN] ~= '' then
    return unpack_integers(first[TAKEN])
  end
  local amounts = { requests = 1, tokens = first[RESERVED_TOKENS], budget = first[RESERVED_COST] }
  local taken, kinds, numbers, maxima = {}, shape.kind, plan.numbers, shape.maxima
  for number = 1, #kinds do
    local kind = kinds[number]
    taken[number] = (kind == 'requests' or numbers[maxima + number] >= 0) and amounts[kind] or 0
  end
  return taken
end
