-- Reads what an owner holds. ARGV: owner. Answer: the fields and values of `own`, then those of `idx`.
return {call('HGETALL', p..'own:'..ARGV[1]), call('HGETALL', p..'idx:'..ARGV[1])}
