#!lua flags=allow-oom
-- Keeps the report of a member. KEYS: the prefix of the fleet. ARGV: member, report, milliseconds to keep it.
-- Answer: what is asked of the member, or ''. Up to 20 that fell silent are forgotten on the way.
local member, t = ARGV[1], now()
for _, silent in ipairs(call('ZRANGE', p..'until', '-inf', number(t), 'BYSCORE', 'LIMIT', 0, 20)) do
  call('HDEL', p..'report', silent)
  call('HDEL', p..'asked', silent)
  call('ZREM', p..'until', silent)
end
call('HSET', p..'report', member, number(t)..' '..ARGV[2])
call('ZADD', p..'until', number(t + tonumber(ARGV[3])), member)
for _, key in ipairs({'report', 'until', 'asked'}) do call('PEXPIRE', p..key, 86400000) end
return call('HGET', p..'asked', member) or ''
