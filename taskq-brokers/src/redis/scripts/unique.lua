#!lua flags=allow-oom
-- The task that holds a unique key. ARGV: unique key. Answer: its key or ''.
return unique_holder(ARGV[1], now()) or ''
