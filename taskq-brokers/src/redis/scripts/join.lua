#!lua flags=allow-oom
-- Begins a term, or renews it if it lives. ARGV: owner, milliseconds of its leases. Answer: 1, or 0 if the term has lapsed and is not yet cleared.
local owner, t = ARGV[1], now()
local known = call('ZSCORE', p..'lease', owner) or call('ZSCORE', p..'gone', owner)
if known and not alive(owner, t) then return 0 end
call('ZADD', p..'owners', ARGV[2], owner)
call('ZADD', p..'lease', number(t + tonumber(ARGV[2])), owner)
return 1
