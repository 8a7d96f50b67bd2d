-- Unless it lives as long already: somebody else may have saved it for a longer lease.
local function save_plan(key, text, ttl_ms)
  if redis.call('PTTL', key) < ttl_ms then
    redis.call('SET', key, text, 'PX', ttl_ms)
  end
end
