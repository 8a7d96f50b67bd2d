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
--- @include "read_calls"
--- @include "read_records"
--- @include "read_plan"
--- @include "hold_field"
--- @include "unpack_integers"
--- @include "return_taken"
--- @include "write_owners"
--- @include "write_records"
local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV)

local function read_call(packed, id, attempt)
  local plan, record, index, extra_ms = struct.unpack('<i8i8i8i8', packed)
  return { plan = batch.plans[plan], record = record, index = index, extra_ms = extra_ms, id = id, attempt = attempt }
end

local calls = read_calls(batch, ARGV, 3, read_call)
local records = read_records(calls, KEYS)
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

local function answer(call)
  local record, plan = records[call.record], call.plan
  if not record or record.state ~= 'open' or plan.digest ~= record.digest then
    return { 'done' }
  end
  local rest = without(record.attempts, call.attempt)
  if rest == record.attempts then
    return { 'done' }
  end
  record.attempts = rest
  record.changed = call
  if rest ~= '' then
    return { 'kept' }
  end
  -- Whatever an admin changed since: what was taken a moment ago goes back.
  for place in ipairs(plan.versions) do
    plan.versions[place] = -1
  end
  local counters = read_plan(plan, KEYS, owners, nil, now)
  local first, field = unpack_integers(record.first[5]), hold_field(record.fate, record.expires_at)
  for number in ipairs(plan.limits.kind) do
    return_taken(record, plan, counters, number, first, field, false)
  end
  for _, number in ipairs(record.begun) do
    local counter = counters[number]
    if counter and counter.usage == 0 and counter.last_reset == record.first[1] then
      -- The window that this attempt began was none: it reads as over until somebody is admitted.
      counter.last_reset = 0
    end
  end
  for _, owner in ipairs(plan.owners) do
    owner.keep = true
  end
  record.state = 'withdrawn'
  return { 'withdrawn' }
end

local reply = { now }
for number, call in ipairs(calls) do
  reply[1 + number] = answer(call)
end

write_owners(owners)
write_records(records, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
return reply
