#!lua flags=allow-oom
-- Looks for a ready task by its key, where its time of birth says that it should stand, and at both ends of the line, where
-- those stand that came back. ARGV: key; most rows to read at one place; most bytes in all.
-- Answer: {} or {its element, about how many of its priority stand before it}.
local key, window, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- The milliseconds in which a UUID of version 7 or 8 was made.
local function born(k)
  if #k ~= 16 or byte(k, 9) < 128 then return nil end
  local a, b, c, d, e, f = byte(k, 1, 6)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

local function born_in(row)
  local n = byte(row, 11)
  return n and born(sub(row, 12, 11 + n))
end

-- How many elements a row has before the one that is looked for, and that one.
local function look_into(row)
  if not string.find(row, key, 1, true) then return nil end
  local at, before = 1, 0
  repeat
    local a, b, c, n = byte(row, at + 7, at + 10)
    local length = n and a * 65536 + b * 256 + c or 0
    if length <= 11 then return nil end
    if sub(row, at + 11, at + 10 + n) == key then return before, sub(row, at, at + length - 1) end
    at, before = at + length, before + 1
  until at > #row
end

-- A few rows at a time: how long rows are is seen only when they are here.
local function look_at(list, from, to)
  while room > 0 and from <= to do
    local rows = call('LRANGE', list, -(math.min(from + 3, to) + 1), -(from + 1))
    for i = #rows, 1, -1 do
      room = room - #rows[i]
      local before, e = look_into(rows[i])
      if e then return from + #rows - i, before, e end
    end
    from = from + 4
  end
end

-- The first row, counted from the one that starts next, that is not older than the key.
local function where(list, length)
  local wanted, low, high = born(key), 0, length
  if not wanted then return nil end
  while low < high do
    if room <= 0 then return nil end
    local middle = math.floor((low + high) / 2)
    local row = call('LINDEX', list, -(middle + 1))
    room = room - #row
    local there = born_in(row)
    if there and there >= wanted then high = middle else low = middle + 1 end
  end
  return low
end

local extra, rows_in_all = tonumber(call('GET', p..'x') or 0), 0
for _, list in ipairs(READY) do rows_in_all = rows_in_all + call('LLEN', list) end
for _, list in ipairs(READY) do
  local length = call('LLEN', list)
  if length > 0 then
    local near = where(list, length)
    local places = {{0, math.min(window, length) - 1}, {math.max(length - window, 0), length - 1}}
    if near then table.insert(places, 1, {math.max(near - window, 0), math.min(near + window, length) - 1}) end
    for _, place in ipairs(places) do
      local row, before, e = look_at(list, place[1], place[2])
      if e then return {e, math.floor(row * (1 + extra / rows_in_all)) + before} end
    end
  end
end
return {}
