// The script that counts calls under way inside the store: a worker states how many it has, and asks for more.

import { recallAnswerMs } from './recall.ts'
import { type Script, scriptOf } from './script.ts'

/** How long a key stays that nobody touches, ms. Whoever has calls of it under way touches it more often. */
export const permitLifeMs = 3_600_000

/**
 * A key is a hash: by worker how many permits it has, how it has them, and the limit by which it may use those that come free. `x`:
 * all are used. `l`: some may be unused, and can be called back. A number: they were called back at this time, ms. A worker that is
 * gone from the set of those alive has nothing.
 *
 * KEYS are the key, the channel on which it is called back, and the set of workers. ARGV: the worker; how many permits it keeps, in place
 * of all that is written of it; `x` or `l`; how many more it would like besides those asked for, of which it gets an eighth of what is
 * left at most; the limit by which it has those that it keeps; and for each call that waits the limit that holds for it. Reply: how many
 * the worker has now, how many others may still give back, and 1 or 0 for each call.
 */
export const permitScript: Script = scriptOf(`
local key, worker = KEYS[1], ARGV[1]
local held, kind, ahead, kept = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local names, rows = { worker }, {}
if #ARGV > 5 then
  local all = redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    if all[at] ~= worker then
      names[#names + 1] = all[at]
      rows[#rows + 1] = all[at + 1]
    end
  end
end
local seen = {}
-- No function of Lua takes many thousand values.
for from = 1, #names, 1000 do
  local scores = redis.call('ZMSCORE', KEYS[3], unpack(names, from, math.min(from + 999, #names)))
  for at = 1, #scores do seen[from + at - 1] = scores[at] end
end
if not seen[1] then
  return redis.error_reply('LAPSED the store does not know this worker: it was silent for long, or the data was lost')
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local others, loose = 0, {}
for i, row in ipairs(rows) do
  local name = names[i + 1]
  local count, how, limit = string.match(row, '^(%d+) (%w+) (%d+)$')
  if not seen[i + 1] or not count then
    redis.call('HDEL', key, name)
  else
    others = others + tonumber(count)
    if how ~= 'x' then loose[#loose + 1] = { name = name, count = count, asked = tonumber(how), limit = limit } end
  end
end

local reply, most, least = { 0, 0 }, nil, math.huge
for at = 6, #ARGV do
  local limit = tonumber(ARGV[at])
  local isFree = others + held < limit
  if isFree then
    held = held + 1
    most = math.max(most or 0, limit)
  else
    reply[2] = -1
  end
  least = math.min(least, limit)
  reply[at - 3] = isFree and 1 or 0
end
local isRefused = reply[2] < 0
reply[2] = 0
if #ARGV > 5 and not isRefused then
  held = held + math.max(0, math.min(ahead, math.floor((least - others - held) / 8)))
end

-- Those are called back that some are lacking, or that would be used by a lower limit than what is out by now.
local isNews = false
for _, other in ipairs(loose) do
  if not other.asked and (isRefused or most and tonumber(other.limit) < most) then
    redis.call('HSET', key, other.name, other.count .. ' ' .. string.format('%.0f', now) .. ' ' .. other.limit)
    other.asked, isNews = now, true
  end
  if isRefused and now - other.asked > ${recallAnswerMs} then
    redis.call('HSET', key, other.name, other.count .. ' x ' .. other.limit)
  elseif isRefused then
    reply[2] = reply[2] + 1
  end
end
if isNews then redis.call('PUBLISH', KEYS[2], key) end

if held > 0 then
  redis.call('HSET', key, worker, string.format('%.0f %s %.0f', held, kind, most or kept))
  redis.call('PEXPIRE', key, ${permitLifeMs})
else
  redis.call('HDEL', key, worker)
end
reply[1] = held
return reply
`)

export interface PermitAnswer {
  /** Permits that the worker has now. */
  readonly held: number
  /** Others who may still give back what they do not use. */
  readonly others: number
  /** One for each call that asked. */
  readonly granted: readonly boolean[]
}

/** @throws Error for a reply that the script cannot have made. */
export function readPermits(reply: unknown, asked: number): PermitAnswer {
  if (!Array.isArray(reply) || reply.length !== asked + 2 || !reply.every(Number.isFinite)) {
    throw new Error('the store answered with something else than permits')
  }
  const [held, others, ...flags] = reply as [number, number, ...number[]]
  return { held, others, granted: flags.map(flag => flag === 1) }
}
