--[[
expire: return what reservations still hold whose lease has run out.

Decisions see by themselves what has run out; this writes it down for owners that nobody asks about, and takes the
reservations off the index. Any number of workers may do it at once. A batch of calls, answered in their order.

KEYS
  [1..]  versions hash, usage hashes of owners, records and indexes of reservations, named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it. Numbers of a call: none of its own; texts: id
         A call without a record goes by the index, and its plan has owners alone: what is given back needs no limits.
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'expired'}                   taken off the index by this call
  {'done'}                      by another one, or settled or released, or its record is gone
  {'running'}                   its lease was renewed
  {'elsewhere', plan_digest}    made by this plan: call again with its owners, or with it
  {'charges'}                   what its owners held is to be charged, which needs the windows: call again with record and plan
  {'stale'}                     the configuration is not the one of the plan
WRITES
  only for calls that are expired or done, and what can be given back for one that charges
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "record_fields"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "mark_owners"
--- @include "answer_calls"
--- @include "write_owners"
local ARGUMENTS_OF_A_CALL = 2

local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV, now)
local records = read_records(batch.records, KEYS)
local global_version = read_versions(KEYS[batch.versions])
local owners = {}
local finished = {}
local earliest = {}

-- When the first of what the owner of this usage hash holds runs out, or has; nil: it holds nothing.
local function earliest_of(key)
  if owners[key] then
    return owners[key].earliest
  end
  if earliest[key] == nil then
    earliest[key] = tonumber(redis.call('HGET', key, 'e')) or false
  end
  return earliest[key] or nil
end

-- Whether owners of this plan may still hold something of a lease that ended then. Whoever reads an owner returns all that has
-- run out by now, so most often it was returned already: a busy owner keeps many moments and takes long to read.
local function may_hold(plan, ended_at)
  local shape, numbers = plan.shape, plan.numbers
  for place = 1, shape.owners do
    local earliest_end = earliest_of(KEYS[numbers[shape.keys + place]])
    if earliest_end and earliest_end <= ended_at then
      return true
    end
  end
  return false
end

local function answer(at, number)
  local plan_number, place, index = struct.unpack('<i8i8i8', ARGV[at])
  local id, plan, record, by_index = ARGV[at + 1], batch.plans[plan_number], records[place], place == 0
  local ended_at
  if by_index then
    -- The index has open reservations only, by the end of their lease.
    ended_at = tonumber(redis.call('ZSCORE', KEYS[index], id))
  elseif record and record[STATE] == 'open' then
    ended_at = record[EXPIRES_AT]
  end
  if not ended_at then
    finished[number] = { index, id }
    return { 'done' }
  elseif ended_at > now then
    return { 'running' }
  elseif not by_index and (not plan or plan.digest ~= record[DIGEST]) then
    return { 'elsewhere', record[DIGEST] }
  end
  if may_hold(plan, ended_at) then
    if not read_plan(plan, KEYS, owners, global_version, now) then
      return { 'stale' }
    end
    -- read_plan returned what has run out; writing it is all there is to do.
    mark_owners(plan)
    if by_index and may_hold(plan, ended_at) then
      return { 'charges' }
    end
  end
  finished[number] = { index, id }
  return { 'expired' }
end

local reply = answer_calls(batch, now, ARGUMENTS_OF_A_CALL, answer)
write_owners(owners)
for number, one in pairs(finished) do
  local index, id = KEYS[one[1]], one[2]
  if index and redis.call('ZREM', index, id) == 0 then
    reply[1 + number] = { 'done' }
  end
end
return reply
