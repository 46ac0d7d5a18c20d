#!lua flags=allow-oom
-- Tasks that workers hold. ARGV: owner, batch and position of the last one of the page before, or '' and zeros; most tasks,
-- most bytes. Answer: for each task owner, batch, position, element, and its progress or ''.
local after, batch_after, at_after = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local most, room, answer = tonumber(ARGV[4]), tonumber(ARGV[5]), {}
local everybody = owners()
table.sort(everybody)
for _, owner in ipairs(everybody) do
  if most <= 0 or room <= 0 then break end
  if owner >= after then
    local batches = {}
    for _, field in ipairs(call('HKEYS', p..'idx:'..owner)) do batches[#batches + 1] = tonumber(field) end
    table.sort(batches)
    for _, batch in ipairs(batches) do
      if most <= 0 or room <= 0 then break end
      if owner > after or batch >= batch_after then
        local name = number(batch)
        local index = call('HGET', p..'idx:'..owner, name)
        each_held(row_of(owner, name, index), index, function(e, at)
          local is_before = owner == after and batch == batch_after and at <= at_after
          if is_before or most <= 0 or room <= 0 then return end
          local n = #answer
          answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = owner, name, at, e
          answer[n + 5] = call('HGET', p..'pg', (key_of(e))) or ''
          most, room = most - 1, room - #e
        end)
      end
    end
  end
end
return answer
