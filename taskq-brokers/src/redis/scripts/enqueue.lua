-- new -> ready, for plain tasks: no delay, no unique key, no own id, no relative expiry.
-- ARGV: batch id, batch bucket, number of families, for each its name and marker, how many elements there are beyond the
-- first of each row, then per priority: digit, count, rows.
-- Answer: 1 accepted, 0 accepted before.
local marks = p..'bm:'..ARGV[2]
if call('HSETNX', marks, ARGV[1], '1') == 0 then return 0 end
call('EXPIRE', marks, 600)

-- Siblings may come in several calls. Those of another class get markers of their own.
local function join_family(family, more)
  local before = call('HGET', p..'mc', family)
  local joined = {sub(before, 1, 1)}
  for i = 2, math.max(#before, #more) do
    local bits = byte(more, i) or 0
    if byte(before) == byte(more) then
      joined[i] = char(bit.bor(byte(before, i) or 0, bits))
    else
      for n = 0, 7 do
        local key = family..char((i - 2) * 8 + n)
        if band(bits, bit.lshift(1, n)) ~= 0 then call('HSET', p..'m', key, sub(more, 1, 1)..'\0') end
      end
    end
  end
  if byte(before) == byte(more) then call('HSET', p..'mc', family, table.concat(joined)) end
end

local families = tonumber(ARGV[3])
for i = 4, 2 + 2 * families, 2 do
  if call('HSETNX', p..'mc', ARGV[i], ARGV[i + 1]) == 0 then join_family(ARGV[i], ARGV[i + 1]) end
end
local i = 5 + 2 * families
if ARGV[i - 1] ~= '0' then call('INCRBY', p..'x', ARGV[i - 1]) end
while i <= #ARGV do
  local count = tonumber(ARGV[i + 1])
  call('LPUSH', p..'r'..ARGV[i], unpack(ARGV, i + 2, i + 1 + count))
  i = i + 2 + count
end
if call('EXISTS', p..'idle') == 1 then ring(now()) end
return 1
