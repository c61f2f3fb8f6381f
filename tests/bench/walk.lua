-- wrk: sends ready-made requests one after the other from a file, and looks at every answer.
-- A record is eight digits, the number of bytes that follow, then the bytes of an HTTP request.
-- Arguments: file, byte to start at, least bytes of an answer that is due.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  path = args[1]
  position = tonumber(args[2])
  least = tonumber(args[3])
  rounds, refused, empty = 0, 0, 0
  file = assert(io.open(path, "rb"))
  file:seek("set", position)
end

function request()
  local length = file:read(8)
  if not length then -- the file is used up: from the beginning, and the caller is told
    rounds = rounds + 1
    position = 0
    file:seek("set", 0)
    length = file:read(8)
  end
  local size = tonumber(length)
  position = position + 8 + size
  return file:read(size)
end

function response(status, headers, body)
  if status ~= 200 then
    refused = refused + 1
  elseif #body < least then
    empty = empty + 1
  end
end

function done(summary, latency, requests)
  local thread = threads[1]
  io.write(string.format(
    '\nRESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p90_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, '
      .. '"refused": %d, "empty": %d, "broken": %d, "timeouts": %d, "rounds": %d, "position": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    thread:get("refused"), thread:get("empty"),
    summary.errors.connect + summary.errors.read + summary.errors.write, summary.errors.timeout,
    thread:get("rounds"), thread:get("position")))
end
