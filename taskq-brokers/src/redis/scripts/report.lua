#!lua flags=allow-oom
-- Keeps a progress report of a running task. ARGV: owner, batch, position, key, report. Answer: 1 applied, 0 fenced.
if not alive(ARGV[1], now()) then return 0 end
local _, held = held_of(ARGV[1], ARGV[2], ARGV[3])
if held == '' then return 0 end
call('HSET', p..'pg', ARGV[4], ARGV[5])
return 1
