#!lua flags=allow-oom
-- dead -> forgotten, oldest first. ARGV: most dead letters. Answer: {how many went, 1 if more are left}.
local keys, dropped = call('ZRANGE', p..'deadz', '-inf', '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[1]), 0
if #keys > 0 then
  dropped = call('HDEL', p..'dead', unpack(keys))
  call('ZREM', p..'deadz', unpack(keys))
end
return {dropped, call('EXISTS', p..'deadz')}
