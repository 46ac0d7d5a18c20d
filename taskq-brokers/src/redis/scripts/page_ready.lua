#!lua flags=allow-oom
-- Rows of ready lists in the order in which they start. ARGV: first list (1 has priority 9), rows of it to leave out, most
-- rows, most bytes. Answer: {the time, list and row where the next page begins, or 0 and 0 after the last; then for each row its
-- list, its place in it, the row, and for each of its elements 1 if it was cancelled and waits for a claim to drop it}.
local list, at, most, room = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local cancelled, cancelled_untracked = call('EXISTS', p..'c') == 1, call('EXISTS', p..'cu') == 1
local answer, seen = {number(now()), 0, 0}, 0

local function traces(row)
  if not cancelled and not cancelled_untracked then return '' end
  local marks, start = {}, 1
  repeat
    local a, b, c, n = byte(row, start + 7, start + 10)
    local length = n and a * 65536 + b * 256 + c or 0
    if length <= 11 then break end
    local key = sub(row, start + 11, start + 10 + n)
    local gone = cancelled and call('ZSCORE', p..'c', key) or cancelled_untracked and call('ZSCORE', p..'cu', key)
    marks[#marks + 1] = gone and '1' or '0'
    start = start + length
  until start > #row
  return table.concat(marks)
end

-- One row at first, then as many as should fit: how long rows are is seen only when they are here.
local fits = 1
while list <= 10 do
  local step = math.min(fits, most - seen)
  if step <= 0 or room <= 0 then
    answer[2], answer[3] = list, at
    break
  end
  local rows = call('LRANGE', READY[list], -(at + step), -(at + 1))
  local before = room
  for i = #rows, 1, -1 do
    if room <= 0 then break end
    room, seen = room - #rows[i], seen + 1
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = list, at, rows[i], traces(rows[i])
    at = at + 1
  end
  if #rows > 0 then fits = math.max(1, math.min(16, math.floor(room * #rows / math.max(1, before - room)))) end
  if #rows < step and room > 0 then list, at = list + 1, 0 end
end
return answer
