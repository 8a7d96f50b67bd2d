-- The version of limits that apply to all keys (of providers and models); then the basis: the versions of routing rules
-- and of prices, as text. nil without a key: it is not asked here.
local function read_versions(key)
  if not key then
    return nil
  end
  local stored = redis.call('HMGET', key, 'limits', 'routing', 'pricing')
  return tonumber(stored[1] or 0), (stored[2] or '0') .. ':' .. (stored[3] or '0')
end
