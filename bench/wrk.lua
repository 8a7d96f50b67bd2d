-- Sends the raw requests of bench/traffic.py in turn and writes what was measured as one line of JSON.
-- Arguments: file of requests (separated by NUL), file of keys (one a line), first number, lag, mean pause in ms (0: none).

local DIGITS = '%012d'

local requests, keys = {}, {}
local number, lag, turn = 0, 0, 0
local is_checked = false

local function read_file(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

-- The text between places, and the places themselves, in their order.
local function cut(request)
  local pieces = {}
  local from = 1
  while true do
    local first, last, place = string.find(request, '@(%l+)@', from)
    if not first then
      pieces[#pieces + 1] = { text = string.sub(request, from) }
      return pieces
    end
    pieces[#pieces + 1] = { text = string.sub(request, from, first - 1) }
    pieces[#pieces + 1] = { place = place }
    from = last + 1
  end
end

function init(arguments)
  for request in string.gmatch(read_file(arguments[1]), '[^%z]+') do
    requests[#requests + 1] = cut(request)
  end
  for key in string.gmatch(read_file(arguments[2]), '[^\n]+') do
    keys[#keys + 1] = key
  end
  number, lag = tonumber(arguments[3]) - 1, tonumber(arguments[4])
  local pause_ms = tonumber(arguments[5])
  if pause_ms > 0 then
    -- Evenly spread around the mean, so that connections do not fall into step.
    delay = function()
      return math.random(0, 2 * pause_ms)
    end
  end
end

local function fill(request)
  local sent = {}
  for place, piece in ipairs(request) do
    if piece.text then
      sent[place] = piece.text
    elseif piece.place == 'number' then
      sent[place] = string.format(DIGITS, number)
    elseif piece.place == 'earlier' then
      sent[place] = string.format(DIGITS, math.max(0, number - lag))
    else
      sent[place] = keys[math.random(#keys)]
    end
  end
  return table.concat(sent)
end

function request()
  if not is_checked then
    -- wrk looks at one request before it begins, and never sends it.
    is_checked = true
    return fill(requests[1])
  end
  turn = turn % #requests + 1
  if turn == 1 then
    number = number + 1
  end
  return fill(requests[turn])
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'BENCH {"requests": %d, "duration_us": %d, "bytes": %d, "refused": %d, "broken": %d, ' ..
    '"p50": %d, "p90": %d, "p99": %d, "p999": %d, "max": %d}\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9), latency.max
  ))
end
