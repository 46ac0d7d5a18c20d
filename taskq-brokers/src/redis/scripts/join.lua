#!lua flags=allow-oom
-- Begins a term. ARGV: owner.
call('ZADD', p..'lease', number(now() + LEASE), ARGV[1])
return 1
