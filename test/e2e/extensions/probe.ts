// A policy that answers how much each thread of the gateway holds, once nothing is left to collect.

import { isMainThread, threadId } from 'node:worker_threads'
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8'
import vm from 'node:vm'
import { definePolicy, Reply, schema } from '../../../src/index.ts'

/** What a thread holds, in bytes. */
export interface Held {
  readonly thread: number
  /** Objects and texts, without compiled code. */
  readonly objects: number
  /** Buffers outside of the heap. */
  readonly external: number
}

const questions = new BroadcastChannel('probe: questions')
const answers = new BroadcastChannel('probe: answers')
answers.unref()
setFlagsFromString('--expose-gc')
const collect = vm.runInNewContext('gc') as () => void

function look(): Held {
  for (let i = 0; i < 4; i++) collect()
  const spaces = getHeapSpaceStatistics().filter(({ space_name }) => /^(new|old|large|new_large)_/.test(space_name))
  return {
    thread: isMainThread ? 0 : threadId,
    objects: spaces.reduce((sum, { space_used_size }) => sum + space_used_size, 0),
    external: getHeapStatistics().external_memory,
  }
}

questions.addEventListener('message', () => answers.postMessage(look()))
questions.unref()

async function lookEverywhere(threads: number): Promise<Held[]> {
  const held: Held[] = []
  await new Promise<void>(resolve => {
    const came = (event: unknown) => {
      held.push((event as { data: Held }).data)
      if (held.length < threads - 1) return
      answers.removeEventListener('message', came)
      resolve()
    }
    answers.addEventListener('message', came)
    questions.postMessage(null)
  })
  return [...held, look()]
}

const probe = definePolicy({
  name: 'probe',
  summary: 'Says what each thread holds.',
  options: schema.Fields({ threads: schema.Type.Integer({ description: 'How many there are.' }) }),
  build: ({ threads }) => {
    return () => async () => Reply.text(200, JSON.stringify(await lookEverywhere(threads)))
  },
})

export const policies = [probe]
