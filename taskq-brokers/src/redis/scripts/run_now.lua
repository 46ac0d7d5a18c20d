#!lua flags=allow-oom
-- scheduled, retrying -> ready, before its time. ARGV: key. Answer: 1, or 0 if no such task waits for its time.
local set, chunk, e = find_due(ARGV[1])
if not set then return 0 end
if set == 'due' and needs_marker(e) then call('HSET', p..'m', ARGV[1], marker_of(e)) end
push_last(e)
call('ZREM', p..set..':'..chunk, ARGV[1])
call('HDEL', p..set..'b', ARGV[1])
tidy_chunk(set, chunk)
ring(now())
return 1
