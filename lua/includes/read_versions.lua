-- The version of what applies to all keys (limits of providers and models); nil without a key: it is not asked here.
local function read_versions(key)
  return key and tonumber(redis.call('HGET', key, 'limits') or 0)
end
