#!lua flags=allow-oom
-- running -> succeeded, for many tasks without unique keys at once.
-- ARGV: owner, then for each batch: its number, positions, and how many groups of tracked ones follow; each group has
--   class, shard, attempts, positions, family or '', mask or key, entries or result: see `res` in the prelude.
-- Answer: for each batch a string of 1 (applied) and 0 (fenced) in the order of its positions; one 1 for all applied.
local owner, t = ARGV[1], now()
local living = alive(owner, t)
local noticed = call('EXISTS', p..'pg', p..'cr', p..'w') > 0
local answer, i = {}, 2

-- Those entries whose positions are held, and the mask of their bits.
local function held_entries(entries, members, held)
  local kept, bits, at = {}, {}, 1
  for n = 1, #members do
    local which, a, b, c = byte(entries, at, at + 3)
    local stop = at + 3 + a * 65536 + b * 256 + c
    if held[byte(members, n)] then
      kept[#kept + 1] = sub(entries, at, stop)
      local octet = math.floor(which / 8)
      bits[octet] = bit.bor(bits[octet] or 0, bit.lshift(1, which % 8))
    end
    at = stop + 1
  end
  local mask = {}
  for octet = 0, 31 do mask[octet + 1] = char(bits[octet] or 0) end
  return table.concat(kept), table.concat(mask)
end

-- Tells of those who have waiters: what the bucket keeps of each.
local function tell_group(name, family, mask_or_key, members, keys, held)
  for n = 1, #members do
    local at = byte(members, n)
    local key = family == '' and mask_or_key or keys[at]
    if (not held or held[at]) and call('HEXISTS', p..'w', key) == 1 then
      local found = call('HMGET', name, key, family)
      tell(key, found[1] or found[2] and record_in(found[2], byte(key, -1)))
    end
  end
end

local function end_group(at, token, held, keys)
  local class, shard, attempts, members, family = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3],
    ARGV[at + 4]
  local mask, entries = ARGV[at + 5], ARGV[at + 6]
  local name = bucket(class, t, 0, shard)
  if family == '' then
    if held and not held[byte(members)] then return end
    call('HSET', name, mask, 's'..token..attempts..':'..number(t)..':'..entries)
    unmark(mask)
  else
    if held then entries, mask = held_entries(entries, members, held) end
    if entries == '' then return end
    keep('s', name, family, token, attempts, t, entries)
    unmark_siblings(family, mask, entries)
  end
  touch(name, class, t)
  if noticed then tell_group(name, family, ARGV[at + 5], members, keys, held) end
end

while i <= #ARGV do
  local batch, positions, groups = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local index, ended, held, flags = nil, '', nil, nil
  if living then index, ended = held_of(owner, batch, positions) end
  if #ended < #positions then
    held, flags = {}, {}
    for n = 1, #ended do held[byte(ended, n)] = true end
    for n = 1, #positions do flags[n] = held[byte(positions, n)] and '1' or '0' end
  end
  local keys = ended ~= '' and noticed and keys_at(owner, batch, index)
  i = i + 3
  for _ = 1, groups do
    if ended ~= '' then end_group(i, struct.pack('>I8', batch), held, keys) end
    i = i + 7
  end
  if ended ~= '' then
    let_go(owner, batch, index, ended)
    if keys then
      local ended_keys = {}
      for n = 1, #ended do ended_keys[n] = keys[byte(ended, n)] end
      call('HDEL', p..'pg', unpack(ended_keys))
      call('HDEL', p..'cr', unpack(ended_keys))
      for n = 1, #ended_keys do tell(ended_keys[n]) end
    end
  end
  answer[#answer + 1] = flags and table.concat(flags) or '1'
end
return answer
