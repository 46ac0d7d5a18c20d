#!lua flags=allow-oom
-- scheduled, ready, retrying -> cancelled; a running one is asked to stop. ARGV: key.
-- Answer: cancelled, requested, ended or none.
local key, t = ARGV[1], now()
local was, owner = end_waiting(key, t)
if was == 'cancelled' then return 'cancelled' end
if was == 'expired' then return 'ended' end
owner = owner or holder(key)
if owner then
  call('HSET', p..'cr', key, owner)
  return 'requested'
end
if call('HEXISTS', p..'dead', key) == 1 or record(key, t) or call('ZSCORE', p..'c', key) then return 'ended' end
if not tracked(key) then
  -- It may wait in a ready list; then a claim will drop it.
  call('ZADD', p..'cu', number(t), key)
end
return 'none'
