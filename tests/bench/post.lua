-- A script for wrk: posts the lines of the file named by REQUESTS in turn (a signature, a space, a body), each prepared
-- before the clock starts, and prints what came of it as one line of JSON.
local prepared, turn = {}, 0

function init()
    for line in io.lines(os.getenv("REQUESTS")) do
        local signature, body = line:match("^(%S+) (.*)$")
        local headers = {["Qlik-Signature"] = signature, ["Content-Type"] = os.getenv("CONTENT_TYPE")}
        prepared[#prepared + 1] = wrk.format("POST", wrk.path, headers, body)
    end
end

function request()
    turn = turn % #prepared + 1
    return prepared[turn]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "broken": %d, "late": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
