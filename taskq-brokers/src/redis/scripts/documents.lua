-- A page of documents by name: ARGV[2] of them, or as many as a mebibyte holds. ARGV: the last name of the page before or '',
-- how many.
-- Answer: for each its name, and its record as in `save_document.lua`.
local from = ARGV[1] == '' and '-' or '('..ARGV[1]
local answer, bytes = {}, 0
for _, name in ipairs(call('ZRANGE', p..'docs', from, '+', 'BYLEX', 'LIMIT', 0, ARGV[2])) do
  local kept = call('HGET', p..'doc', name)
  bytes = bytes + #kept
  if bytes > 1048576 and #answer > 0 then break end
  answer[#answer + 1] = name
  answer[#answer + 1] = kept
end
return answer
