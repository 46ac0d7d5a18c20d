-- dead -> ready, if the dead letter is still what the caller read; or forgets it. ARGV: key, the dead letter as read,
-- element to make ready or '' to forget. Answer: 1 done, 0 it has changed or is gone.
local key = ARGV[1]
if call('HGET', p..'dead', key) ~= ARGV[2] then return 0 end
call('HDEL', p..'dead', key)
call('ZREM', p..'deadz', key)
if ARGV[3] ~= '' then
  if needs_marker(ARGV[3]) then call('HSET', p..'m', key, marker_of(ARGV[3])) end
  push_last(ARGV[3])
  ring(now())
end
return 1
