#!lua flags=allow-oom
-- scheduled, retrying -> ready when due; running -> ready, dead or cancelled when the owner's lease has lapsed; drops
-- old results and dead letters. ARGV: most of each kind. Answer: {due, reclaimed, buried, pruned, 1 if more is left}.
local limit, t = tonumber(ARGV[1]), now()
local due = promote(t, limit)
local lapsed = call('ZRANGEBYSCORE', p..'lease', '-inf', number(t), 'WITHSCORES', 'LIMIT', 0, 100)
if #lapsed > 0 then
  local started = server_start(t)
  for i = 1, #lapsed, 2 do
    local owner = lapsed[i]
    local length = lease_of(owner)
    if deserves_mercy(lapsed[i + 1], length, t, started) then
      call('ZADD', p..'lease', number(t + length), owner)
    else
      call('ZREM', p..'lease', owner)
      call('ZREM', p..'idle', owner)
      call('ZREM', p..'asleep', owner)
      call('DEL', p..'bell:'..owner, p..'hand:'..owner)
      call('ZADD', p..'gone', number(t), owner)
    end
  end
end
-- Whoever has no lease at all, not even a lapsed one, is as gone: its entry was lost, its tasks must not be.
if call('ZCARD', p..'owners') > call('ZCARD', p..'lease') + call('ZCARD', p..'gone') then
  for _, owner in ipairs(owners()) do
    if not call('ZSCORE', p..'lease', owner) then call('ZADD', p..'gone', 'NX', number(t), owner) end
  end
end
local reclaimed, buried, more = 0, 0, due == limit or #lapsed == 200
for _, owner in ipairs(call('ZRANGE', p..'gone', 0, 100)) do
  local left = limit - reclaimed - buried
  if left <= 0 then more = true break end
  local counts, rest = drain_owner(owner, left, true, t)
  reclaimed, buried = reclaimed + counts.reclaimed, buried + counts.buried
  if rest then
    more = true
  else
    call('ZREM', p..'gone', owner)
    call('ZREM', p..'owners', owner)
  end
end
local old = call('ZRANGEBYSCORE', p..'buckets', '-inf', number(t), 'LIMIT', 0, limit)
if #old > 0 then
  call('UNLINK', unpack(old))
  call('ZREM', p..'buckets', unpack(old))
end
local forgotten = call('ZRANGEBYSCORE', p..'deadz', '-inf', number(t - DEAD_TTL), 'LIMIT', 0, limit)
if #forgotten > 0 then
  call('HDEL', p..'dead', unpack(forgotten))
  call('ZREM', p..'deadz', unpack(forgotten))
end
call('ZREMRANGEBYSCORE', p..'cu', '-inf', number(t - 7 * 86400000))
-- Where one worker died, others may have died since whose leases still live: a ring for one of those wakes nobody.
local rings = reclaimed > 0 and 32 or due > 0 and 1 or 0
while rings > 0 and ring(t) do rings = rings - 1 end
if #old == limit or #forgotten == limit then more = true end
return {due, reclaimed, buried, #old + #forgotten, more and 1 or 0}
