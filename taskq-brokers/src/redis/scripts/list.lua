#!lua flags=allow-oom
-- Enters a queue into the set of queues; a full server must let workers join. KEYS: the set. ARGV: queue. Answer: 1.
call('SADD', p, ARGV[1])
return 1
