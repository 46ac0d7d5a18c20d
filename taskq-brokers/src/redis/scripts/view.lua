#!lua flags=allow-oom
-- What people want to know of a queue first. Answer: {paused since or 0, time of the next due task or 0, living leases,
-- {ready, scheduled, retrying, running, dead}, the element of each priority that starts next, or its head and key if it is
-- long...}.
local t, heads, room = now(), {}, 65536
for _, list in ipairs(READY) do
  local row = room > 0 and call('LINDEX', list, -1)
  if row then
    local a, b, c, n = byte(row, 8, 11)
    local length = n and a * 65536 + b * 256 + c or 0
    room = room - #row
    -- Of a long one its key is enough, which tells its age.
    heads[#heads + 1] = sub(row, 1, length <= 4096 and length or 11 + n)
  end
end
local answer = {tonumber(call('GET', p..'paused') or 0), next_due() or 0, call('ZCOUNT', p..'lease', '('..number(t), '+inf'), counts()}
for _, head in ipairs(heads) do answer[#answer + 1] = head end
return answer
