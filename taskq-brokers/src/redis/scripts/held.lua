-- Reads what an owner holds. ARGV: owner. Answer: values of its hash.
return call('HVALS', p..'own:'..ARGV[1])
