-- A page of entries by name: ARGV[2] of them, or as many as a mebibyte holds. ARGV: the last name of the page before or '',
-- how many.
-- Answer: for each its name, record as in `put_entry.lua`, cursor, and last fire time or ''.
local from = ARGV[1] == '' and '-' or '('..ARGV[1]
local answer, bytes = {}, 0
for _, name in ipairs(call('ZRANGE', p..'entries', from, '+', 'BYLEX', 'LIMIT', 0, ARGV[2])) do
  local kept = call('HGET', p..'entry', name)
  bytes = bytes + #kept
  if bytes > 1048576 and #answer > 0 then break end
  answer[#answer + 1] = name
  answer[#answer + 1] = kept
  answer[#answer + 1] = call('HGET', p..'cursor', name)
  answer[#answer + 1] = call('HGET', p..'fired', name) or ''
end
return answer
