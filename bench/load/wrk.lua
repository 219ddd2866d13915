-- The calls that wrk sends: PATH BODY-BYTES VARIANTS. Prints one line of numbers that wrk.ts reads.

local requests = {}
local turn = 0

function init(args)
  local path, size, count = args[1], tonumber(args[2]), tonumber(args[3])
  local method, body = "GET", nil
  if size > 0 then
    method, body = "POST", string.rep("x", size)
    wrk.headers["Content-Type"] = "application/octet-stream"
  end
  if count == 0 then
    requests[1] = wrk.format(method, path, nil, body)
    return
  end
  -- A stride that has no factor in common with a round number visits them all in a scattered order.
  for i = 0, count - 1 do
    local number = (i * 7919) % count
    local headers = {}
    for name, value in pairs(wrk.headers) do headers[name] = value:gsub("{n}", tostring(number)) end
    requests[i + 1] = wrk.format(method, (path:gsub("{n}", tostring(number))), headers, body)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("measured %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors))
end
