-- A POST of 1 KB JSON to the path given on the command line; the figures come out as one line of JSON.
function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  local shell = '{"model":"bench","text":""}'
  wrk.body = '{"model":"bench","text":"' .. string.rep("x", tonumber(args[1]) - #shell) .. '"}'
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"status":%d,"socket":%d,"p50Ms":%.3f,"p99Ms":%.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
