// By what a worker says each second that it is alive, and what it learns of the store.

import { type Script, scriptOf } from './script.ts'

/** How long all heartbeats may be lacking before that is taken for the store's own silence, ms. */
const silentMs = 2_500
/** How long the set of workers stays where none is alive, ms. */
const presentLifeMs = 3_600_000

/**
 * Notes that this gateway and this worker of it are alive, and tells whether the data is that which the gateway knew. Workers that
 * were not heard of are forgotten, but not soon after a silence of the store: then all had no chance to be heard.
 *
 * KEYS are the set of gateways, what is known of the data, and the set of workers. ARGV: the gateway; ms after which others are
 * gone; the name of the data that it knew; a name for data that has none; 1 to look at the server; the worker; and names that it
 * had before and has not told all of yet. Reply: gateways, name of the data, ms since it replaced other data or -1, 1 in a cluster,
 * how keys are evicted, 1 where the store did not know the worker. It writes: a replica that cannot be written to fails it.
 */
export const heartbeatScript: Script = scriptOf(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local isCluster, evicts = 0, ''
if ARGV[5] == '1' then
  -- Users who may not ask are not told.
  local info = redis.pcall('INFO', 'cluster')
  if type(info) == 'string' and string.find(info, 'cluster_enabled:1', 1, true) then return { 0, '', -1, 1, '', 0 } end
  info = redis.pcall('INFO', 'memory')
  local policy = type(info) == 'string' and string.match(info, 'maxmemory_policy:([%w-]+)')
  if policy and policy ~= 'noeviction' and not string.find(info, 'maxmemory:0%c') then evicts = policy end
end
local gone = now - tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', gone)
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
local data = redis.call('HMGET', KEYS[2], 'epoch', 'born', 'lost', 'beat', 'calm')
local epoch, born, isLoss = data[1], tonumber(data[2]), data[3] == '1'
local beat, calm = tonumber(data[4]), tonumber(data[5])
local function whole(number) return string.format('%.0f', number) end
if not epoch or not born then
  epoch, born = ARGV[4], now
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'born', whole(now))
end
if not isLoss and ARGV[3] ~= '' and ARGV[3] ~= epoch then
  redis.call('HSET', KEYS[2], 'lost', '1')
  isLoss = true
end
if not beat or not calm or now < beat or now - beat > ${silentMs} then calm = now end
redis.call('HSET', KEYS[2], 'beat', whole(now), 'calm', whole(calm))
if calm < gone then redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', gone) end
local isNew = redis.call('ZADD', KEYS[3], now, ARGV[6])
for at = 7, #ARGV do redis.call('ZADD', KEYS[3], 'XX', now, ARGV[at]) end
redis.call('PEXPIRE', KEYS[3], ${presentLifeMs})
return { redis.call('ZCARD', KEYS[1]), epoch, isLoss and math.max(0, now - born) or -1, isCluster, evicts, isNew }
`)

export interface Beat {
  /** Gateways seen alive. */
  readonly gateways: number
  /** Names the data: other data has another name. */
  readonly epoch: string
  /** How long ago the data began in place of other data that a gateway had counted in; null where none is known. */
  readonly sinceLossMs: number | null
  readonly isCluster: boolean
  /** How the server drops keys when its memory is full; empty where it does not. */
  readonly evicts: string
  /** The store did not know this worker: its connection is a new one, it was taken for gone, or the data was lost. */
  readonly isNew: boolean
}

/** @throws Error for a reply that the script cannot have made. */
export function readBeat(reply: unknown): Beat {
  if (!Array.isArray(reply) || reply.length !== 6) throw new Error('the store answered a heartbeat with something else')
  const [gateways, epoch, sinceLossMs, isCluster, evicts, isNew] = reply as unknown[]
  if (typeof gateways !== 'number' || typeof epoch !== 'string' || typeof sinceLossMs !== 'number') {
    throw new Error('the store answered a heartbeat with something else')
  }
  return {
    gateways,
    epoch,
    sinceLossMs: sinceLossMs < 0 ? null : sinceLossMs,
    isCluster: isCluster === 1,
    evicts: typeof evicts === 'string' ? evicts : '',
    isNew: isNew === 1,
  }
}
