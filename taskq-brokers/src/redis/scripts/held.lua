#!lua flags=allow-oom
-- Reads what an owner holds, and ends its claims so far: one that is still on its way on a connection that was given up
-- hands out nothing. No connection is given up and delivers an hour later. ARGV: owner, number of its last claim.
-- Answer: {} if the lease is gone; else the fields and values of `own`, then those of `idx`.
local owner, last = ARGV[1], ARGV[2]
if not alive(owner, now()) then return {} end
local before = call('GET', p..'over:'..owner)
if not before or tonumber(before) < tonumber(last) then call('SET', p..'over:'..owner, last, 'PX', 3600000) end
return {call('HGETALL', p..'own:'..owner), call('HGETALL', p..'idx:'..owner)}
