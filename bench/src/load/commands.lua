-- Commands for wrk: AddNote for one member after another, each under an idempotency key of its own and with a text of
-- its own, because the same note sent twice is one note. Arguments: the token, what the keys begin with, a file of
-- member ids, what the texts begin with, the number of ten digits after which they are numbered.
local head, tail, first, ids, sent = nil, nil, 0, {}, 0

function init(arguments)
   for id in io.lines(arguments[3]) do ids[#ids + 1] = id end
   tail = '","text":"' .. arguments[4] .. ' '
   first = tonumber(arguments[5])
   local length = #'{"member_id":"' + 36 + #tail + 10 + #'"}'
   head = "POST /v1/commands/AddNote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      .. "Authorization: Bearer " .. arguments[1] .. "\r\nContent-Length: " .. length
      .. "\r\nIdempotency-Key: " .. arguments[2] .. "-"
end

function request()
   sent = sent + 1
   return head .. sent .. '\r\n\r\n{"member_id":"' .. ids[sent % #ids + 1] .. tail .. (first + sent) .. '"}'
end

function done(summary, latency, requests)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format('\n{"commands":%d,"microseconds":%d,"failed":%d,"p99_microseconds":%d}\n',
      summary.requests, summary.duration, failed, latency:percentile(99)))
end
