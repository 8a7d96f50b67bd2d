--[[
unlock: end a change of an entity on a cluster, unless the lock ran out and somebody else holds it now.

KEYS
  [1]    lock    string    who changes the entity
ARGV
  [1]    holder, as the lock names it
RETURNS
  {'unlocked'}
  {'lost'}        it ran out, whoever has it now
WRITES
  only when unlocked
]]
local lock = KEYS[1]
local holder = ARGV[1]

if redis.call('GET', lock) ~= holder then
  return { 'lost' }
end
redis.call('DEL', lock)
return { 'unlocked' }
