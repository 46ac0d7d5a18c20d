-- none, kept -> kept. Adds log lines to those of a task, and drops the oldest beyond the bounds. ARGV: key, most lines, most
-- bytes of their texts, milliseconds that they are kept, 1 if those from before go, lines: each 25 bytes of head and its text.
-- Answer: 1.
-- An entry of `log:<key>` is: 15 digits of bytes of all texts so far | 14 digits of when it came | line.
-- The sums tell how many bytes there are without a look at all entries.
local list, most, t, count = p..'log:'..ARGV[1], tonumber(ARGV[2]), now(), #ARGV - 5
local last, sum = call('LINDEX', list, -1), 0
if last and (ARGV[5] == '1' or count >= most or tonumber(sub(last, 16, 29)) + tonumber(ARGV[4]) <= t) then
  call('DEL', list)
elseif last then
  sum = tonumber(sub(last, 1, 15))
  call('LTRIM', list, count - most, -1)
end
local entries = {}
for i = 1, count do
  sum = sum + #ARGV[i + 5] - 25
  entries[i] = string.format('%015.0f%014.0f', sum, t)..ARGV[i + 5]
end
-- Room first: a user without the rights to make it adds nothing.
local first = call('LINDEX', list, 0)
while first and sum - tonumber(sub(first, 1, 15)) + #first - 54 > tonumber(ARGV[3]) do
  call('LPOP', list)
  first = call('LINDEX', list, 0)
end
call('RPUSH', list, unpack(entries))
call('PEXPIRE', list, ARGV[4])
return 1
