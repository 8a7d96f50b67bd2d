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
  {'released', plan_digest, repeated}    now (0), or by an earlier call (1)
  {'unknown'}                   no such reservation
  {'conflict'}                  it was settled
  {'elsewhere', plan_digest}    made by this plan: call again with it
  {'stale'}                     the configuration is not the one of the plan
WRITES
  only for calls that release what was open
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "record_fields"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "hold_field"
--- @include "return_taken"
--- @include "mark_owners"
--- @include "answer_calls"
--- @include "write_owners"
--- @include "write_records"
local ARGUMENTS_OF_A_CALL = 2

local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV, now)
local records, changed = read_records(batch.records, KEYS), {}
local global_version = read_versions(KEYS[batch.versions])
local owners = {}

local function answer(at)
  local plan_number, place, index, extra_ms = struct.unpack('<i8i8i8i8', ARGV[at])
  local record, plan = records[place], batch.plans[plan_number]
  if not record then
    return { 'unknown' }
  elseif record[STATE] == 'settled' then
    return { 'conflict' }
  elseif record[STATE] == 'released' then
    return { 'released', record[DIGEST], 1 }
  elseif not plan or plan.digest ~= record[DIGEST] then
    return { 'elsewhere', record[DIGEST] }
  end
  local field = hold_field(record[FATE], record[EXPIRES_AT])
  if not read_plan(plan, KEYS, owners, global_version, now, field) then
    return { 'stale' }
  end
  return_taken(record, plan, field, false)
  mark_owners(plan)
  record[STATE] = 'released'
  changed[place] = { index, ARGV[at + 1], extra_ms }
  return { 'released', record[DIGEST], 0 }
end

local reply = answer_calls(batch, now, ARGUMENTS_OF_A_CALL, answer)
write_owners(owners)
write_records(records, changed, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
return reply
