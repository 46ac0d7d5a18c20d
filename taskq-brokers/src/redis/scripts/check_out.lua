#!lua flags=allow-oom
-- Forgets a member. KEYS: the prefix of the fleet. ARGV: member. Answer: 1.
call('HDEL', p..'report', ARGV[1])
call('HDEL', p..'asked', ARGV[1])
call('ZREM', p..'until', ARGV[1])
return 1
