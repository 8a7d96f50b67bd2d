--[[
expire: return what reservations still hold whose lease has run out.

Decisions see by themselves what has run out; this writes it down for owners that nobody asks about, and takes the
reservations off the index. Any number of workers may do it at once. A batch of calls, answered in their order.

KEYS
  [1..]  versions hash, usage hashes of owners, records and indexes of reservations, named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it. Numbers of a call: none of its own; texts: id
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'expired'}                   taken off the index by this call
  {'done'}                      by another one, or settled or released, or its record is gone
  {'running'}                   its lease was renewed
  {'elsewhere', plan_digest}    made by this plan: call again with it
  {'stale'}                     the configuration is not the one of the plan
WRITES
  only for calls that are expired or done
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "read_calls"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "write_owners"
local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV)

local function read_call(packed, id)
  local plan, record, index = struct.unpack('<i8i8i8', packed)
  return { plan = batch.plans[plan], record = record, index = index, id = id }
end

local calls = read_calls(batch, ARGV, 2, read_call)
local records = read_records(calls, KEYS)
local global_version = read_versions(KEYS[batch.versions])
local owners = {}
local finished = {}

local function answer(call, number)
  local record, plan = records[call.record], call.plan
  if not record or record.state ~= 'open' then
    finished[number] = call
    return { 'done' }
  elseif record.expires_at > now then
    return { 'running' }
  elseif not plan or plan.digest ~= record.digest then
    return { 'elsewhere', record.digest }
  end
  local counters = read_plan(plan, KEYS, owners, global_version, now)
  if not counters then
    return { 'stale' }
  end
  -- read_plan returned what has run out; writing it is all there is to do.
  for _, owner in ipairs(plan.owners) do
    owner.keep = true
  end
  finished[number] = call
  return { 'expired' }
end

local reply = { now }
for number, call in ipairs(calls) do
  reply[1 + number] = answer(call, number)
end

write_owners(owners)
for number, call in pairs(finished) do
  if KEYS[call.index] and redis.call('ZREM', KEYS[call.index], call.id) == 0 then
    reply[1 + number] = { 'done' }
  end
end
return reply
