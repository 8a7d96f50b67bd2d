--[[
withdraw: another slot of the cluster refused, or did not answer; take back this attempt's part as if it had never been asked.

What a later attempt of the same request was told it has stays. A batch of calls, answered in their order.

KEYS
  [1..]  usage hashes of owners, records and indexes of reservations, named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it. Numbers of a call: none of its own; texts: id, attempt
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'withdrawn'}    nothing is left of it
  {'kept'}         for another attempt
  {'done'}         not asked, withdrawn before, or settled or released since
WRITES
  only for calls that are withdrawn or kept
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "record_fields"
--- @include "first_answer_fields"
--- @include "read_records"
--- @include "read_plan"
--- @include "hold_field"
--- @include "return_taken"
--- @include "mark_owners"
--- @include "answer_calls"
--- @include "write_owners"
--- @include "write_records"
local ARGUMENTS_OF_A_CALL = 3

local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV, now)
local records, changed = read_records(batch.records, KEYS), {}
local owners = {}

local function without(attempts, attempt)
  local rest = {}
  for one in string.gmatch(attempts, '%S+') do
    if one ~= attempt then
      rest[#rest + 1] = one
    end
  end
  return table.concat(rest, ' ')
end

local function give_back(record, plan)
  local shape, field = plan.shape, hold_field(record[FATE], record[EXPIRES_AT])
  -- Whatever an admin changed since: what was taken a moment ago goes back.
  for owner = 1, shape.owners do
    plan.numbers[shape.versions + owner] = -1
  end
  read_plan(plan, KEYS, owners, nil, now, field)
  return_taken(record, plan, field, false)
  for _, number in ipairs(record[BEGUN]) do
    local state, place = plan.states[shape.state[number]], shape.place[number]
    if state[place] == 0 and state[place + 1] == record[FIRST][ADMITTED_AT] then
      -- Nothing is counted in the window that this attempt began: it reads as over until somebody is admitted.
      state[place + 1] = 0
    end
  end
  mark_owners(plan)
end

local function answer(at)
  local plan_number, place, index, extra_ms = struct.unpack('<i8i8i8i8', ARGV[at])
  local id, attempt = ARGV[at + 1], ARGV[at + 2]
  local record, plan = records[place], batch.plans[plan_number]
  if not record or record[STATE] ~= 'open' or plan.digest ~= record[DIGEST] then
    return { 'done' }
  end
  local rest = without(record[ATTEMPTS], attempt)
  if rest == record[ATTEMPTS] then
    return { 'done' }
  end
  record[ATTEMPTS] = rest
  changed[place] = { index, id, extra_ms }
  if rest ~= '' then
    return { 'kept' }
  end
  give_back(record, plan)
  record[STATE] = 'withdrawn'
  return { 'withdrawn' }
end

local reply = answer_calls(batch, now, ARGUMENTS_OF_A_CALL, answer)
write_owners(owners)
write_records(records, changed, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
return reply
