--[[
save_plan: keep a plan as long as reservations made by it may be asked about.

KEYS
  [1]    plan    string    JSON
ARGV
  [1]    its text
  [2]    ttl_ms, from now on
RETURNS
  {'saved'}
WRITES
  unless it lives as long already
]]
--- @include "save_plan"
save_plan(KEYS[1], ARGV[1], tonumber(ARGV[2]))
return { 'saved' }
