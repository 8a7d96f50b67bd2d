--[[
release: the requests never ran; give back all that they took.

A batch of calls, answered in their order.

KEYS
  [1..]  versions hash, usage hashes of owners, records and indexes of reservations, named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it. Numbers of a call: none of its own; texts: id
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'released', plan_digest}     now, or by an earlier call
  {'unknown'}                   no such reservation
  {'conflict'}                  it was settled
  {'elsewhere', plan_digest}    made by this plan: call again with it
  {'stale'}                     the configuration is not the one of the plan
WRITES
  only for calls that release what was open
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "read_calls"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "hold_field"
--- @include "unpack_integers"
--- @include "return_taken"
--- @include "write_owners"
--- @include "write_records"
local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV)

local function read_call(packed, id)
  local plan, record, index, extra_ms = struct.unpack('<i8i8i8i8', packed)
  return { plan = batch.plans[plan], record = record, index = index, extra_ms = extra_ms, id = id }
end

local calls = read_calls(batch, ARGV, 2, read_call)
local records = read_records(calls, KEYS)
local global_version = read_versions(KEYS[batch.versions])
local owners = {}

local function answer(call)
  local record, plan = records[call.record], call.plan
  if not record then
    return { 'unknown' }
  elseif record.state == 'settled' then
    return { 'conflict' }
  elseif record.state == 'released' then
    return { 'released', record.digest }
  elseif not plan or plan.digest ~= record.digest then
    return { 'elsewhere', record.digest }
  end
  local counters = read_plan(plan, KEYS, owners, global_version, now)
  if not counters then
    return { 'stale' }
  end
  local first, field = unpack_integers(record.first[5]), hold_field(record.fate, record.expires_at)
  for number in ipairs(plan.limits.kind) do
    return_taken(record, plan, counters, number, first, field, false)
  end
  for _, owner in ipairs(plan.owners) do
    owner.keep = true
  end
  record.state = 'released'
  record.changed = call
  return { 'released', record.digest }
end

local reply = { now }
for number, call in ipairs(calls) do
  reply[1 + number] = answer(call)
end

write_owners(owners)
write_records(records, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
return reply
