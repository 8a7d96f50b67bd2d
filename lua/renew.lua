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
--- @include "read_calls"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "hold_field"
--- @include "unpack_integers"
--- @include "add_hold"
--- @include "remove_hold"
--- @include "write_owners"
--- @include "write_records"
local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV)

local function read_call(packed, id)
  local plan, record, index, extra_ms, lease_ms, granule_ms = struct.unpack('<i8i8i8i8i8i8', packed)
  return {
    plan = batch.plans[plan],
    record = record,
    index = index,
    lease_ms = lease_ms,
    granule_ms = granule_ms,
    extra_ms = extra_ms,
    id = id,
  }
end

local calls = read_calls(batch, ARGV, 2, read_call)
local records = read_records(calls, KEYS)
local global_version = read_versions(KEYS[batch.versions])
local owners = {}

local function extend(record, plan, counters, expires_at)
  local first = unpack_integers(record.first[5])
  local was, field = hold_field(record.fate, record.expires_at), hold_field(record.fate, expires_at)
  for number, kind in ipairs(plan.limits.kind) do
    local counter, taken, slot = counters[number], first[4 * number], plan.limits.slot[number]
    if counter and kind ~= 'requests' and taken > 0 then
      local owner = plan.owners[plan.limits.owner[number]]
      if remove_hold(owner, counter, slot, taken, was) then
        add_hold(owner, counter, slot, taken, field, expires_at)
      end
    end
  end
  for _, owner in ipairs(plan.owners) do
    owner.keep = true
  end
end

local function answer(call)
  local record, plan = records[call.record], call.plan
  if not record or record.state ~= 'open' or record.expires_at <= now then
    return { 'unknown' }
  elseif not plan or plan.digest ~= record.digest then
    return { 'elsewhere', record.digest }
  end
  local expires_at = math.ceil((now + call.lease_ms) / call.granule_ms) * call.granule_ms
  if expires_at > record.expires_at then
    local counters = read_plan(plan, KEYS, owners, global_version, now)
    if not counters then
      return { 'stale' }
    end
    extend(record, plan, counters, expires_at)
    record.expires_at = expires_at
    record.changed = call
  end
  return { 'renewed', record.expires_at, record.digest }
end

local reply = { now }
for number, call in ipairs(calls) do
  reply[1 + number] = answer(call)
end

write_owners(owners)
write_records(records, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
return reply
