#!lua flags=allow-oom
-- What people want to know of a queue first. Answer: {paused since or 0, time of the next due task or 0, living leases,
-- {ready, scheduled, retrying, running, dead}, the first elements of those rows that start next...}.
local t, heads = now(), {}
for _, list in ipairs(READY) do
  for _, row in ipairs(call('LRANGE', list, -3, -1)) do
    local a, b, c = byte(row, 8, 10)
    if c then heads[#heads + 1] = sub(row, 1, a * 65536 + b * 256 + c) end
  end
end
local answer = {tonumber(call('GET', p..'paused') or 0), next_due() or 0, call('ZCOUNT', p..'lease', '('..number(t), '+inf'), counts()}
for _, head in ipairs(heads) do answer[#answer + 1] = head end
return answer
