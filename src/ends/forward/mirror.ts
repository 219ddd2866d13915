// Copies of calls to another upstream, whose answers nobody gets: a new version meets real traffic before a client meets it.

import { Body, type Sink } from '../../core/body.ts'
import type { Call } from '../../core/call.ts'
import { copyBody } from '../../core/copied-body.ts'
import { compileDrop } from '../../core/drop-fields.ts'
import { Failure } from '../../core/failure.ts'
import { checkFieldName } from '../../core/field-name.ts'
import { type EndPorts, OptionsError, type Place } from '../../core/policy.ts'
import type { SharedCounter, Timed } from '../../core/ports.ts'
import { priority } from '../../core/priority.ts'
import {
  Duration,
  Fields,
  Maybe,
  OneOrMany,
  Percent,
  Shorthand,
  Size,
  type Static,
  TemplateText,
  Type,
} from '../../core/schema.ts'
import type { Layer } from '../../core/step.ts'
import { checkHost, compileHost } from './rewrite.ts'

export const mirrorOption = Shorthand(
  'to',
  Fields({
    to: Type.String({ description: 'Name of the upstream that gets the copies.', examples: ['catalog-next'] }),
    share: Percent({ default: '100%', description: 'How many of the calls are copied, drawn one by one.' }),
    host: Maybe(
      TemplateText({ description: 'Another Host for the copies; that of the call where it is not written.' }),
    ),
    remove: OneOrMany(Type.String({ minLength: 1 }), {
      default: [],
      description: 'Header fields that copies go without, such as `authorization` and `cookie`.',
    }),
    timeout: Duration({ minimum: 1, default: '10s', description: 'How long a copy may take, its reply included.' }),
    limits: Fields(
      {
        body: Size({ default: '64kB', description: 'A call with a longer body is not copied.' }),
        calls: Type.Integer({
          minimum: 1,
          default: 100,
          description: 'Copies under way at once, over all workers together; further calls are not copied.',
        }),
      },
      { default: {}, description: 'Past these a copy is dropped and counted; the call itself goes on.' },
    ),
  }),
)

export type MirrorOptions = Static<typeof mirrorOption>

/** Every copy says by this field what it is. Clients cannot send it. */
const markName = 'x-turnpike-mirrored'

/** @throws OptionsError. `path` leads to the options of this mirror. */
export function checkMirror({ host, remove }: MirrorOptions, path: readonly (string | number)[]): void {
  for (const [index, name] of remove.entries()) {
    const at = [...path, 'remove', index]
    checkFieldName(name, at)
    if (name.toLowerCase() === 'host')
      throw new OptionsError('no copy can go without Host', at, 'Write another `host`.')
  }
  if (host !== null) checkHost(host, [...path, 'host'])
}

/**
 * The call goes first and waits for nothing: the copy is sent when the last byte of its body has gone on. What becomes of it
 * is seen in metrics only.
 */
export function createMirror(options: MirrorOptions, ports: EndPorts, place: Place): Layer {
  const { share } = options
  const mirror = new Mirror(options, ports, place)
  return next =>
    function mirrored(call) {
      call.headers.delete(markName)
      if (call.upgrade !== '' || ports.random() >= share) return next(call)
      const copy = call.copy(call.headers.clone(), Body.empty)
      copy.facts.set(priority, 'low')
      if (!call.body.isEmpty) {
        call.body = mirror.copyBody(call.body, copy)
        return next(call)
      }
      const reply = next(call)
      if (mirror.begin()) mirror.send(copy)
      return reply
    }
}

/** Counts the copies under way, and how they end. */
class Mirror {
  readonly #options: MirrorOptions
  readonly #ports: EndPorts
  readonly #taken: SharedCounter
  readonly #strip: (copy: Call) => void
  readonly #rewrite: ((copy: Call) => void) | null
  readonly #count: (outcome: 'answered' | 'failed' | 'dropped') => void
  readonly #hit: (ceiling: 'mirror-calls' | 'mirror-body') => void

  constructor(options: MirrorOptions, ports: EndPorts, { route, key }: Place) {
    const { to, host } = options
    this.#rewrite = host === null ? null : compileHost(host)
    this.#strip = compileDrop(options.remove)
    this.#options = options
    this.#ports = ports
    this.#taken = ports.shared.counter(`${key}/mirror/${to}`)
    const counter = (outcome: string) =>
      ports.meter.counter('turnpike_mirrored_calls', { http_route: route, upstream: to, outcome })
    const hits = (ceiling: string) => ports.meter.counter('turnpike_ceiling_hits', { ceiling, name: route })
    const counts = { answered: counter('answered'), failed: counter('failed'), dropped: counter('dropped') }
    const ceilings = { 'mirror-calls': hits('mirror-calls'), 'mirror-body': hits('mirror-body') }
    this.#count = outcome => counts[outcome].add(1)
    this.#hit = ceiling => ceilings[ceiling].add(1)
  }

  /** Takes a place among those under way; `false` where there is none. */
  begin(): boolean {
    if (this.#taken.tryTake(this.#options.limits.calls)) return true
    this.#hit('mirror-calls')
    this.#count('dropped')
    return false
  }

  /** Sends the copy when the body has gone on. One that takes longer than a copy may is not waited for. */
  copyBody(body: Body, copy: Call): Body {
    let entry: Timed | null = null
    return copyBody(body, {
      bytesMax: this.#options.limits.body,
      begin: stop => {
        if (!this.begin()) return false
        entry = this.#watch(stop)
        return true
      },
      done: whole => {
        if (entry !== null) this.#ports.deadlines.remove(entry)
        this.#received(copy, whole)
      },
    })
  }

  #watch(due: () => void): Timed {
    const { clock, deadlines } = this.#ports
    const entry: Timed = { dueMs: clock.now() + this.#options.timeout, slot: -1, due }
    deadlines.add(entry)
    return entry
  }

  /** Null where there is no whole copy of the body. */
  #received(copy: Call, body: Body | null): void {
    if (body === null) {
      this.#taken.give()
      this.#hit('mirror-body')
      this.#count('dropped')
      return
    }
    copy.body = body
    this.send(copy)
  }

  /** Trailers of the copy are there by now. */
  send(copy: Call): void {
    this.#strip(copy)
    copy.headers.add(markName, 'true')
    const { deadlines } = this.#ports
    const entry = this.#watch(() => {
      deadlines.remove(entry)
      copy.abandon(new Failure('call-timeout'))
    })
    copy.deadlineMs = entry.dueMs
    void this.#exchange(copy).then(outcome => {
      deadlines.remove(entry)
      this.#taken.give()
      this.#count(outcome)
    })
  }

  async #exchange(copy: Call): Promise<'answered' | 'failed'> {
    try {
      this.#rewrite?.(copy)
      const reply = await this.#ports.upstream(this.#options.to).send(copy)
      await discard(reply.body)
      return 'answered'
    } catch {
      return 'failed'
    }
  }
}

/** Reads a body to its end, so that its connection can be used again. Rejects where it breaks off. */
function discard(body: Body): Promise<void> {
  return new Promise((resolve, reject) => {
    const sink: Sink = { write: () => true, end: () => resolve(), fail: reject }
    body.pipe(sink)
  })
}
