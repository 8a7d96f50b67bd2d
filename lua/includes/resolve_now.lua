-- The one clock: Redis TIME in whole milliseconds; a number passed in by a test takes its place.
local function resolve_now(now_ms)
  if now_ms ~= '' then
    return tonumber(now_ms)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
