-- new -> ready or scheduled, one by one, for everything that the plain script does not take.
-- ARGV: batch id, batch bucket, then nine for each: element (expiry of zeros), start kind (n, a, t) and milliseconds,
--   expiry kind (-, a, t) and milliseconds, 1 if its own id is looked up, unique kind (-, s, e, a), its milliseconds,
--   unique conflict (s skip, r replace) followed by the unique key.
-- Answer: for each {'c'}, {'d'}, {'h', holder} or {'r', replaced}; or 0 if the batch was accepted before.
local marks = p..'bm:'..ARGV[2]
if call('HSETNX', marks, ARGV[1], '1') == 0 then return 0 end
call('EXPIRE', marks, 600)
local t, news = now(), {}
local answers = accept_each(3, #ARGV, t, news)
if news.ready or news.alarm then ring(t) end
return answers
