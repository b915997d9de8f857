-- A POST of 1 KB JSON to the path given on the command line, the same every time or, with the argument "unique", never the
-- same twice; the figures come out as one line of JSON.
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  local shell = '{"model":"bench","text":""}'
  local room = tonumber(args[1]) - #shell
  wrk.body = '{"model":"bench","text":"' .. string.rep("x", room) .. '"}'
  if args[2] ~= "unique" then return end
  local head = '{"model":"bench","text":"' .. string.rep("x", room - 16)
  local number = math.random(1, 1e9) * 1e4
  request = function()
    number = number + 1
    return wrk.format(nil, nil, nil, head .. string.format('%016d"}', number))
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"status":%d,"socket":%d,"p50Ms":%.3f,"p99Ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
