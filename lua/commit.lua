--[[
commit: apply all writes of an admin's change, or none of them.

The change was computed from what was read before; the checks say what must still be true.

KEYS
  [1..]  every key that a check or a write names, in any order
ARGV
  [1]    JSON {checks: [[kind, key, ...]], writes: [[command, key, argument...]]}, where key is the place in KEYS as text
         checks: ['version', key, text]        the hash's field `version` is this ('' = the hash must not exist)
                 ['exists', key]               the key exists
                 ['unique', key, prefix, id]   no member of the sorted set begins with prefix, unless it is prefix .. id
RETURNS
  {'committed'}
  {'refused', check}    the first check that failed, counted from 1
WRITES
  only when committed
]]
local function member_range(prefix)
  return '[' .. prefix, '(' .. prefix .. '\255'
end

local change = cjson.decode(ARGV[1])

for number, check in ipairs(change.checks) do
  local kind, key = check[1], KEYS[tonumber(check[2])]
  local holds
  if kind == 'version' then
    holds = (redis.call('HGET', key, 'version') or '') == check[3]
  elseif kind == 'exists' then
    holds = redis.call('EXISTS', key) == 1
  elseif kind == 'unique' then
    local from, to = member_range(check[3])
    local found = redis.call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, 2)
    holds = #found == 0 or (#found == 1 and found[1] == check[3] .. check[4])
  end
  assert(holds ~= nil, 'commit: unknown check')
  if not holds then
    return { 'refused', number }
  end
end

for _, write in ipairs(change.writes) do
  redis.call(write[1], KEYS[tonumber(write[2])], unpack(write, 3))
end
return { 'committed' }
