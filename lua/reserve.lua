--[[
reserve: admit requests and take what they ask of every limit, or refuse them and take nothing.

A batch of calls, answered one by one in their order; a call sees what the calls before it took. What plans are is said in
lua/README.md.

KEYS
  [1..]  versions hash, usage hashes of owners, records and indexes of reservations, plans: named in the batch by their places
ARGV
  [1]    now_ms, '' = Redis clock
  [2..]  a batch as lua/README.md describes it
         numbers of a call: tokens, cost, lease_ms, granule_ms, charges; the lease ends at a multiple of granule_ms;
         charges: what an expired lease held is charged (1) or given back (0)
         texts: id, detail (kept for replays), fingerprint, basis, attempt
         basis: versions of the rules and prices that the caller went by, '' = whatever they are
         attempt: on a cluster, where a call is one of several (its plan a part of one), what withdraw names it by; else ''
RETURNS
  {now_ms, answer, ...}    in the order of the calls; an answer is one of
  {'granted', expires_at_ms, reserved_tokens, reserved_cost, counters, taken}
  {'replayed', plan_digest, state, now_ms, expires_at_ms, reserved_tokens, reserved_cost, counters, detail, taken}
                                   the first answer; state: open, settled or released by now
  {'conflict'}                     same id, another fingerprint
  {'stale'}                        the configuration is not the one of the plan, or of the basis
  {'unsaved'}                      it, or one before it, would be granted, but the plan is to be saved and its text was not sent:
                                   call again with it
  {'refused', violated, over, counters, holds}    numbers of limits: those that refuse, all that would; see list_holds
  {'blocked', counters}            the limits before the gate pass, the plan is blocked
  {'expired', counters}            the same, the key has expired
  where counters are usage, last_reset, held of each limit, packed (pack_counters); taken: what of each was taken, packed,
  '' when that is one request and what is reserved everywhere
WRITES
  only for calls that are granted, and for replays of attempts
]]
--- @include "resolve_now"
--- @include "decode_batch"
--- @include "record_fields"
--- @include "read_records"
--- @include "read_versions"
--- @include "read_plan"
--- @include "decide"
--- @include "divide_estimate"
--- @include "hold_field"
--- @include "add_holds"
--- @include "charge"
--- @include "mark_owners"
--- @include "pack_counters"
--- @include "pack_integers"
--- @include "list_holds"
--- @include "answer_calls"
--- @include "write_owners"
--- @include "write_records"
--- @include "write_plans"
local ARGUMENTS_OF_A_CALL = 6
-- A quarter of an hour less than workers take a plan for saved (_SAVED_FOR_S in service/store/plans.py): leases end at round
-- times, the longest up to 500 seconds after they were asked to.
local SAVED_FOR_MS = 2700000

local now = resolve_now(ARGV[1])
local batch = decode_batch(ARGV, now)
local records, changed = read_records(batch.records, KEYS), {}
local global_version, basis_now = read_versions(KEYS[batch.versions])
local owners = {}

-- Numbers of the limits whose windows this request begins.
local function windows_begun(plan)
  local shape, begun = plan.shape, {}
  for number, kind in ipairs(shape.kind) do
    local before = plan.states[shape.state[number]].before
    if kind == 'requests' and before and before[shape.place[number]] then
      begun[#begun + 1] = number
    end
  end
  return begun
end

local function count_request(plan)
  local shape, states = plan.shape, plan.states
  for number, kind in ipairs(shape.kind) do
    if kind == 'requests' then
      charge(states[shape.state[number]], shape.place[number], 1)
    end
  end
end

-- Whether the plan lives long enough already; also when somebody else has seen to that (place 0).
local function is_saved(plan, lease_ms)
  local place = plan.numbers[plan.shape.plan_key]
  return place == 0 or redis.call('PTTL', KEYS[place]) > lease_ms + batch.plan_ttl_ms - SAVED_FOR_MS
end

local function answer(at)
  local plan_number, place, index, extra_ms, tokens, cost, lease_ms, granule_ms, charges =
    struct.unpack('<i8i8i8i8i8i8i8i8i8', ARGV[at])
  local id, detail, fingerprint, basis, attempt = unpack(ARGV, at + 1, at + ARGUMENTS_OF_A_CALL - 1)
  local record = records[place]
  if record then
    if record[FINGERPRINT] ~= fingerprint then
      return { 'conflict' }
    end
    local is_ours = batch.plans[plan_number].digest == record[DIGEST] and record[STATE] == 'open'
    if attempt ~= '' and is_ours then
      -- Whoever withdraws an earlier attempt must leave this one what it was told it has. One by another plan is told nothing.
      record[ATTEMPTS] = record[ATTEMPTS] .. ' ' .. attempt
      changed[place] = { index, id, extra_ms }
    end
    return { 'replayed', record[DIGEST], record[STATE], unpack(record[FIRST]) }
  end
  if basis ~= '' and basis ~= basis_now then
    return { 'stale' }
  end

  local fate = charges == 1 and 'c' or 'b'
  local expires_at = math.ceil((now + lease_ms) / granule_ms) * granule_ms
  local plan, field = batch.plans[plan_number], hold_field(fate, expires_at)
  if plan.unsaved then
    -- No call is decided before an earlier one of its plan, which is to be called again.
    return { 'unsaved' }
  elseif not read_plan(plan, KEYS, owners, global_version, now, field) or plan.lacks then
    return { 'stale' }
  end
  local verdict, violated, over, all_fit = decide(plan, tokens, cost, now)
  if verdict == 'refused' then
    return { 'refused', violated, over, pack_counters(plan), list_holds(plan, over) }
  elseif verdict ~= 'granted' then
    return { verdict, pack_counters(plan) }
  end

  if plan.text == '' and not is_saved(plan, lease_ms) then
    plan.unsaved = true
    return { 'unsaved' }
  end
  local begun = attempt ~= '' and windows_begun(plan)
  local reserved_tokens, reserved_cost, divided = divide_estimate(plan, tokens, cost, all_fit)
  count_request(plan)
  add_holds(plan, divided or { tokens = reserved_tokens, budget = reserved_cost }, field, expires_at)
  mark_owners(plan)
  plan.lease_ms = math.max(plan.lease_ms, lease_ms)
  local counters, taken = pack_counters(plan), divided and pack_integers(divided, #divided) or ''
  local first = { now, expires_at, reserved_tokens, reserved_cost, counters, detail, taken }
  records[place] = { fingerprint, plan.digest, 'open', fate, expires_at, first, false, attempt, begun }
  changed[place] = { index, id, extra_ms }
  return { 'granted', expires_at, reserved_tokens, reserved_cost, counters, taken }
end

local reply = answer_calls(batch, now, ARGUMENTS_OF_A_CALL, answer)
write_owners(owners)
write_records(records, changed, KEYS, now, batch.retention_ms, batch.index_ttl_ms)
write_plans(batch.plans, KEYS, batch.plan_ttl_ms)
return reply
