-- none -> kept. Adds events behind all others, and drops the oldest beyond the bounds. KEYS: the prefix of the events. ARGV: most
-- events, milliseconds that they are kept, events: JSON each.
-- Answer: 1.
-- An entry of `stream` is named by when the stream was begun and the number in it, and has one field, `e`: 14 digits of when
-- it came | JSON.
local stream, ttl, t, count = p..'stream', tonumber(ARGV[2]), now(), #ARGV - 2
local function came(entry) return tonumber(sub(entry[2][2], 1, 14)) end
local last, begun, n = call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1], number(t), 0
if last and came(last) + ttl <= t then
  call('DEL', stream)
elseif last then
  begun, n = string.match(last[1], '^(%d+)-(%d+)$')
end
for i = 1, count do
  call('XADD', stream, begun..'-'..number(n + i), 'e', string.format('%014.0f', t)..ARGV[i + 2])
end
-- Twice as many as came, so that old ones cannot pile up.
local oldest, young = call('XRANGE', stream, '-', '+', 'COUNT', 2 * count + 1), 1
while young <= 2 * count and oldest[young] and came(oldest[young]) + ttl <= t do young = young + 1 end
if young > 1 then call('XTRIM', stream, 'MINID', oldest[young][1]) end
call('XTRIM', stream, 'MAXLEN', ARGV[1])
call('PEXPIRE', stream, ttl)
return 1
