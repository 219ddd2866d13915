// The script that counts inside the store: one call, one key, all rules or none, by the clock of the store.
//
// All numbers are whole: microseconds, calls, and for `gcra` a debt in calls times microseconds of the window, which falls by
// `limit` per microsecond. So nothing is rounded and nothing drifts.

import { recallAnswerMs } from './recall.ts'
import { type Script, scriptOf } from './script.ts'

/** Numbers per rule in the arguments: letter of the algorithm, limit, window µs, burst, start ms. */
const argumentsPerRule = 5
/** Numbers in the reply before those of the rules. */
export const repliesForAll = 3
/** Numbers per rule in the reply: units left, reset ms, retry ms (-1: never), usable until (µs after the time of the reply). */
export const repliesPerRule = 4
/** Sub-windows of a sliding window. One is counted whole until its end has left the window: never too low. */
export const slidingParts = 10

/**
 * `take`, need, want, holder: takes `need` units or refuses; of `want` as many more as are there, and never more than an eighth of
 * what is left beyond `need`, so that blocks shrink near the limit. `need` of 0 asks for a single one without taking it. A
 * `holder` that got more than it needed is remembered; a refusal calls back what other holders have not used.
 *
 * `correct`, amount, when it was taken (µs), 1 where a debt of `gcra` stays.
 *
 * `return`, holder, when it was taken (µs), 1 where the holder has nothing more, and an amount for each rule: gives back what was
 * not used of a block.
 *
 * KEYS are the key and the channel on which it is called back. Behind the arguments come the rules. Reply: granted (-1 for a
 * refusal), time µs, holders that may still give back, then the rules.
 */
const lua = `
local key = KEYS[1]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local isTake, isReturn = ARGV[1] == 'take', ARGV[1] == 'return'
-- Before the rules of a return there is one more argument for each.
local first = isReturn and 5 + (#ARGV - 4) / ${argumentsPerRule + 1} or 5
local fields, rules = {}, {}
for at = first, #ARGV, ${argumentsPerRule} do
  local rule = { kind = ARGV[at], limit = tonumber(ARGV[at + 1]), window = tonumber(ARGV[at + 2]),
    burst = tonumber(ARGV[at + 3]), start = tonumber(ARGV[at + 4]) }
  rules[#rules + 1] = rule
  fields[#fields + 1] = tostring(#rules)
end
local states = redis.call('HMGET', key, unpack(fields))

local function whole(number) return string.format('%.0f', number) end

for i, rule in ipairs(rules) do
  local state = states[i] or ''
  if rule.kind == 'g' then
    local debt, at = string.match(state, '^(%d+) (%d+)$')
    debt, at = tonumber(debt) or 0, tonumber(at) or now
    if now >= at then
      debt = math.max(0, debt - (now - at) * rule.limit)
      at = now
    elseif at - now > rule.window then
      at = now
    end
    rule.debt, rule.at = debt, at
    local room = rule.burst * rule.window - debt
    rule.left = rule.limit > 0 and math.max(0, math.floor(room / rule.window)) or 0
    rule.most = rule.limit > 0 and rule.burst or 0
  elseif rule.kind == 's' then
    rule.part = math.max(1, math.ceil(rule.window / ${slidingParts}))
    rule.index = math.floor(now / rule.part)
    rule.parts, rule.count = {}, 0
    for index, count in string.gmatch(state, '(%d+) (%d+)') do
      index, count = tonumber(index), tonumber(count)
      if index > rule.index then index = rule.index end
      if count > 0 and (index + 1) * rule.part + rule.window > now then
        local last = rule.parts[#rule.parts]
        if last and last[1] == index then last[2] = last[2] + count else rule.parts[#rule.parts + 1] = { index, count } end
        rule.count = rule.count + count
      end
    end
    rule.left = math.max(0, rule.limit - rule.count)
    rule.most = rule.limit
  else
    local start, count = string.match(state, '^(%d+) (%d+)$')
    start, count = tonumber(start) or 0, tonumber(count) or 0
    if start < rule.start then start, count = rule.start, 0 end
    rule.from, rule.count = start, count
    rule.left = math.max(0, rule.limit - count)
    rule.most = rule.limit
  end
end

local granted, isWritten = 0, false
local function add(rule, amount)
  if rule.kind == 'g' then
    rule.debt = math.max(0, rule.debt + amount * rule.window)
  elseif rule.kind == 's' then
    local last = rule.parts[#rule.parts]
    if not last or last[1] ~= rule.index then
      last = { rule.index, 0 }
      rule.parts[#rule.parts + 1] = last
    end
    last[2] = last[2] + amount
    rule.count = rule.count + amount
  else
    rule.count = rule.count + amount
  end
end

local function give(rule, amount, taken, debt)
  if rule.kind == 'g' then
    rule.debt = math.max(0, rule.debt - debt)
  elseif rule.kind == 's' then
    local index = math.floor(taken / rule.part)
    for _, part in ipairs(rule.parts) do
      if part[1] == index then part[2] = math.max(0, part[2] - amount) end
    end
  elseif taken >= rule.from * 1000 then
    rule.count = math.max(0, rule.count - amount)
  end
end

local need, holders, write = 0, 0, {}
if isTake then
  need = tonumber(ARGV[2])
  local want = tonumber(ARGV[3])
  local left = math.huge
  for _, rule in ipairs(rules) do left = math.min(left, rule.left) end
  if left >= math.max(need, 1) then
    granted = need
    if want > need then granted = need + math.max(0, math.min(want - need, math.floor((left - need) / 8))) end
    if granted > 0 then
      for _, rule in ipairs(rules) do add(rule, granted) end
      isWritten = true
    end
    if granted > need then write = { 'h' .. ARGV[4], '0' } end
  else
    granted = -1
    local isNews = false
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if string.sub(field, 1, 1) == 'h' and field ~= 'h' .. ARGV[4] then
        local asked = tonumber(redis.call('HGET', key, field))
        if asked == 0 then
          redis.call('HSET', key, field, whole(now))
          isNews = true
        elseif now - asked > ${recallAnswerMs * 1000} then
          redis.call('HDEL', key, field)
          holders = holders - 1
        end
        holders = holders + 1
      end
    end
    if isNews then redis.call('PUBLISH', KEYS[2], key) end
  end
elseif isReturn then
  local taken = tonumber(ARGV[3])
  for i, rule in ipairs(rules) do
    local amount = tonumber(ARGV[4 + i])
    isWritten = isWritten or amount > 0
    give(rule, amount, taken, amount * rule.window)
  end
  if ARGV[4] == '1' then redis.call('HDEL', key, 'h' .. ARGV[2]) end
else
  local amount, taken, keepsDebt = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
  isWritten = true
  for _, rule in ipairs(rules) do
    if amount > 0 then
      add(rule, amount)
      if rule.kind == 'g' then rule.debt = math.min(rule.debt, (rule.burst + rule.limit) * rule.window) end
    else
      -- What leaked since may have been this call's; giving that back too would lend the time to others.
      local leaked = rule.kind == 'g' and math.max(0, rule.at - taken) * rule.limit or 0
      give(rule, -amount, taken, keepsDebt and 0 or math.max(0, -amount * rule.window - leaked))
    end
  end
end

local reply, lifeMs = { granted, now, holders }, 1
for i, rule in ipairs(rules) do
  local left, resetUs, retryUs, usableUs
  local asked = math.max(need, 1)
  if rule.kind == 'g' then
    left = math.max(0, math.floor((rule.burst * rule.window - rule.debt) / rule.window))
    usableUs = rule.limit > 0 and math.floor(rule.debt / rule.limit) or 0
    resetUs = rule.limit > 0 and rule.debt / rule.limit or rule.window
    retryUs = rule.limit > 0 and (rule.debt + asked * rule.window - rule.burst * rule.window) / rule.limit or -1
    write[#write + 1] = fields[i]
    write[#write + 1] = whole(rule.debt) .. ' ' .. whole(rule.at)
    resetUs = resetUs + (rule.at - now)
  elseif rule.kind == 's' then
    left = math.max(0, rule.limit - rule.count)
    usableUs = (rule.index + 1) * rule.part - now
    resetUs, retryUs = 0, 0
    local over, texts = rule.count + asked - rule.limit, {}
    for _, part in ipairs(rule.parts) do
      local leaves = (part[1] + 1) * rule.part + rule.window - now
      if over > 0 then
        over = over - part[2]
        retryUs = leaves
      end
      if part[2] > 0 then
        resetUs = leaves
        texts[#texts + 1] = whole(part[1]) .. ' ' .. whole(part[2])
      end
    end
    write[#write + 1] = fields[i]
    write[#write + 1] = table.concat(texts, ' ')
  else
    left = math.max(0, rule.limit - rule.count)
    usableUs = rule.from * 1000 + rule.window - now
    resetUs = math.max(1000, usableUs)
    retryUs = rule.count + asked > rule.limit and resetUs or 0
    write[#write + 1] = fields[i]
    write[#write + 1] = whole(rule.from) .. ' ' .. whole(rule.count)
  end
  if asked > rule.most then retryUs = -1000 elseif granted >= 0 or retryUs < 0 then retryUs = 0 end
  lifeMs = math.max(lifeMs, math.ceil(resetUs / 1000))
  reply[#reply + 1] = left
  reply[#reply + 1] = math.ceil(resetUs / 1000)
  reply[#reply + 1] = math.ceil(retryUs / 1000)
  reply[#reply + 1] = usableUs
end
if isWritten then
  redis.call('HSET', key, unpack(write))
  redis.call('PEXPIRE', key, whole(lifeMs + 1000))
end
return reply
`

export const countScript: Script = scriptOf(lua)
