-- The reply of an upgrade: how many of the keys `upgrade` found to be of an earlier version, and wrote (1; else 0).
local function upgrade_each(keys, upgrade)
  local count = 0
  for _, key in ipairs(keys) do
    count = count + upgrade(key)
  end
  return { 'upgraded', count }
end
