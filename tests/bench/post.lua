-- wrk: POST the file $BENCH_BODY with content type $BENCH_TYPE; prints one line of JSON at the end.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["content-type"] = os.getenv("BENCH_TYPE")
file:close()

-- With $BENCH_SESSIONS so many bodies take turns, with their numbers in place of "%d".
local requests, turn = {}, 0

function init()
    for number = 1, tonumber(os.getenv("BENCH_SESSIONS") or 0) do
        requests[number] = wrk.format(nil, nil, nil, (wrk.body:gsub("%%d", number)))
    end
    if #requests > 0 then
        request = function()
            turn = turn % #requests + 1
            return requests[turn]
        end
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"failures":%d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
        errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
