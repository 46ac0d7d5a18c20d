-- new -> ready, for one plain tracked task that this connection sends for the first time: the fewest commands.
-- Its marker tells whether it was accepted before; whoever repeats it uses the script for each, which leaves a mark, so
-- that a first one that comes late, after its repetition has ended, is known.
-- ARGV: batch id, batch bucket, key, marker, priority digit, element. Answer: 1 accepted, 0 accepted before.
if call('HEXISTS', p..'bm:'..ARGV[2], ARGV[1]) == 1 or call('HSETNX', p..'m', ARGV[3], ARGV[4]) == 0 then return 0 end
call('LPUSH', p..'r'..ARGV[5], ARGV[6])
if call('EXISTS', p..'idle') == 1 then ring(now()) end
return 1
