#!lua flags=allow-oom
-- Asks something of a member. KEYS: the prefix of the fleet. ARGV: member, what is asked. Answer: 1, or 0 if it is none.
local last = call('ZSCORE', p..'until', ARGV[1])
if not last or tonumber(last) <= now() then return 0 end
call('HSET', p..'asked', ARGV[1], ARGV[2])
call('PEXPIRE', p..'asked', 86400000)
return 1
