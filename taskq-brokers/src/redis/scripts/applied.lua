-- Whether tracked tasks ended by these very batches: the same write again, after its answer was lost, is no stale write.
-- ARGV: key and batch for each. Answer: a string of 1 and 0.
local t, answer = now(), {}
for i = 1, #ARGV, 2 do answer[#answer + 1] = ended_by(ARGV[i], ARGV[i + 1], t) and '1' or '0' end
return table.concat(answer)
