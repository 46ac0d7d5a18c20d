#!lua flags=allow-oom
-- Asks to be told when the leadership is vacant. KEYS: the prefix of the leadership. ARGV: channel, milliseconds for which
-- it is listened to.
-- Answer: milliseconds until the present term ends, or 0 if it is vacant.
local t, led = now(), call('HMGET', p..'leader', 'candidate', 'until')
if not led[1] or tonumber(led[2]) <= t then return 0 end
call('ZREMRANGEBYSCORE', p..'waiting', '-inf', number(t))
call('ZADD', p..'waiting', number(t + tonumber(ARGV[2])), ARGV[1])
call('PEXPIRE', p..'waiting', 3600000)
return tonumber(led[2]) - t
