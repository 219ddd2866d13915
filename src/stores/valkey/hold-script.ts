// The script that counts calls under way inside the store. Each worker states how many it has, and asks for more.

import { type Script, scriptOf } from './script.ts'

/** How long a holder may take to give back what it does not use; then nobody waits for it any more, ms. */
const recallMs = 200
/** How long a key stays that nobody touches, ms. Holders touch theirs more often. */
export const keyLifeMs = 3_600_000

/**
 * A key is a hash: by holder how many permits it has, and how it holds them. `x`: all are used. `l`: some may be unused, and can
 * be called back. A number: they were called back at this time, ms. A holder that is gone from the set of those alive has nothing.
 *
 * KEYS are the key, the channel on which it is called back, and the set of holders. ARGV: the holder; how many permits it keeps, in
 * place of all that is written of it; `x` or `l`; how many more it would like besides, of which it gets an eighth of what is left at
 * most; and for each call that waits the limit that holds for it. Reply: how many the holder has now, how many others may still give
 * back, and 1 or 0 for each call.
 */
export const holdScript: Script = scriptOf(`
local holder, held, kind, ahead = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
if not redis.call('ZSCORE', KEYS[3], holder) then
  return redis.error_reply('LAPSED the gateway was silent for so long that it was taken for gone')
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local reply, others, loose = { 0, 0 }, 0, {}
if #ARGV > 4 then
  local rows = redis.call('HGETALL', KEYS[1])
  for at = 1, #rows, 2 do
    local name = rows[at]
    if name ~= holder then
      if redis.call('ZSCORE', KEYS[3], name) then
        local count, how = string.match(rows[at + 1], '^(%d+) (%w+)$')
        others = others + (tonumber(count) or 0)
        if how and how ~= 'x' then loose[#loose + 1] = { name, count, how } end
      else
        redis.call('HDEL', KEYS[1], name)
      end
    end
  end
end
local isRefused, least = false, math.huge
for at = 5, #ARGV do
  local limit = tonumber(ARGV[at])
  local isFree = others + held < limit
  if isFree then held = held + 1 else isRefused = true end
  least = math.min(least, limit)
  reply[#reply + 1] = isFree and 1 or 0
end
if #ARGV > 4 and not isRefused then
  held = held + math.max(0, math.min(ahead, math.floor((least - others - held) / 8)))
end
if isRefused then
  local isNews, waited = false, 0
  for _, other in ipairs(loose) do
    local asked = tonumber(other[3])
    if not asked then
      redis.call('HSET', KEYS[1], other[1], other[2] .. ' ' .. string.format('%.0f', now))
      isNews = true
      waited = waited + 1
    elseif now - asked > ${recallMs} then
      redis.call('HSET', KEYS[1], other[1], other[2] .. ' x')
    else
      waited = waited + 1
    end
  end
  if isNews then redis.call('PUBLISH', KEYS[2], KEYS[1]) end
  reply[2] = waited
end
if held > 0 then
  redis.call('HSET', KEYS[1], holder, string.format('%.0f', held) .. ' ' .. kind)
  redis.call('PEXPIRE', KEYS[1], ${keyLifeMs})
else
  redis.call('HDEL', KEYS[1], holder)
end
reply[1] = held
return reply
`)

export interface HoldAnswer {
  /** Permits that the holder has now. */
  readonly held: number
  /** Others who may still give back what they do not use. */
  readonly holders: number
  /** One for each call that asked. */
  readonly granted: readonly boolean[]
}

/** @throws Error for a reply that the script cannot have made. */
export function readHold(reply: unknown, asked: number): HoldAnswer {
  if (!Array.isArray(reply) || reply.length !== asked + 2 || !reply.every(Number.isFinite)) {
    throw new Error('the store answered with something else than permits')
  }
  const [held, holders, ...flags] = reply as [number, number, ...number[]]
  return { held, holders, granted: flags.map(flag => flag === 1) }
}
