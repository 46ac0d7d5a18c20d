#!lua flags=allow-oom
-- Keeps a progress report of a running task. ARGV: owner, key, token, report. Answer: 1 applied, 0 fenced.
local v = alive(ARGV[1], now()) and call('HGET', p..'own:'..ARGV[1], ARGV[2])
if not v or sub(v, 1, 8) ~= ARGV[3] then return 0 end
call('HSET', p..'pg', ARGV[2], ARGV[4])
return 1
