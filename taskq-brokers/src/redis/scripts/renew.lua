#!lua flags=allow-oom
-- led -> led, for a whole term from now. KEYS: the prefix of the leadership. ARGV: candidate, token, milliseconds of the term.
-- Answer: the present time, or 0 if the term is over.
local t, led = now(), call('HMGET', p..'leader', 'candidate', 'token', 'until')
if led[1] ~= ARGV[1] or led[2] ~= ARGV[2] or tonumber(led[3]) <= t then return 0 end
call('HSET', p..'leader', 'until', number(t + tonumber(ARGV[3])))
return number(t)
