-- new -> ready, for plain tasks: no delay, no unique key, no own id, no relative expiry.
-- ARGV: batch id, batch bucket, number of markers, key and marker each, then per priority: digit, count, elements.
-- Answer: 1 accepted, 0 accepted before.
local marks = p..'bm:'..ARGV[2]
if call('HSETNX', marks, ARGV[1], '1') == 0 then return 0 end
call('EXPIRE', marks, 600)
local markers = tonumber(ARGV[3])
if markers > 0 then call('HSET', p..'m', unpack(ARGV, 4, 3 + 2 * markers)) end
local i = 4 + 2 * markers
while i <= #ARGV do
  local count = tonumber(ARGV[i + 1])
  call('LPUSH', p..'r'..ARGV[i], unpack(ARGV, i + 2, i + 1 + count))
  i = i + 2 + count
end
if call('EXISTS', p..'idle') == 1 then ring(now()) end
return 1
