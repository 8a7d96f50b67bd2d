--[[
renew: the requests still run; extend their leases.

A lease never gets shorter, so repeated and reordered calls end where one ends. A batch of calls, answered in their order.

KEYS
  [1..]  versions hash, usage hashes of owners, records and indexes of reservations, named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it. Numbers of a call: lease_ms, granule_ms; texts: id
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'renewed', expires_at_ms, plan_digest}
  {'unknown'}                   no such reservation, or its lease ran out, or it is settled or released
  {'elsewhere', plan_digest}    made by this plan: call again with it
  {'stale'}                     the configuration is not the one of the plan
WRITES
  only for calls that are renewed
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "record_fields"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "hold_field"
--- @include "read_taken"
--- @include "add_holds"
--- @include "read_holds"
--- @include "remove_hold"
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

local function extend(record, plan, was, expires_at)
  local shape, taken = plan.shape, read_taken(record, plan)
  for number, kind in ipairs(shape.kind) do
    local state, amount = plan.states[shape.state[number]], taken[number]
    local is_held = kind ~= 'requests' and amount > 0 and state[shape.place[number] + 1] >= 0
    if not is_held or not remove_hold(shape, number, state, read_holds(plan.owners[shape.owner[number]], was), amount) then
      taken[number] = 0
    end
  end
  add_holds(plan, taken, hold_field(record[FATE], expires_at), expires_at)
  mark_owners(plan)
end

local function answer(at)
  local plan_number, place, index, extra_ms, lease_ms, granule_ms = struct.unpack('<i8i8i8i8i8i8', ARGV[at])
  local record, plan = records[place], batch.plans[plan_number]
  if not record or record[STATE] ~= 'open' or record[EXPIRES_AT] <= now then
    return { 'unknown' }
  elseif not plan or plan.digest ~= record[DIGEST] then
    return { 'elsewhere', record[DIGEST] }
  end
  local expires_at = math.ceil((now + lease_ms) / granule_ms) * granule_ms
  if expires_at > record[EXPIRES_AT] then
    local was = hold_field(record[FATE], record[EXPIRES_AT])
    if not read_plan(plan, KEYS, owners, global_version, now, was) then
      return { 'stale' }
    end
    extend(record, plan, was, expires_at)
    record[EXPIRES_AT] = expires_at
    changed[place] = { index, ARGV[at + 1], extra_ms }
  end
  return { 'renewed', record[EXPIRES_AT], record[DIGEST] }
end

local reply = answer_calls(batch, now, ARGUMENTS_OF_A_CALL, answer)
write_owners(owners)
write_records(records, changed, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
return reply
