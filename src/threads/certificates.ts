// Certificates that the gateway gets by itself, in the main thread: kept, renewed, and put among those of the config.

import path from 'node:path'
import { createIssuer } from '../acme/issuer.ts'
import { CertificateKeeper } from '../acme/keeper.ts'
import { createVault } from '../acme/vault.ts'
import type { CertificateStatus } from '../core/certificate-status.ts'
import type { Blueprint } from '../core/blueprint.ts'
import { DeadlineTable } from '../core/deadlines.ts'
import type { ListenerBlueprint } from '../core/listener-schema.ts'
import type { Log, Meter } from '../core/ports.ts'
import { OutsideClient } from '../outside/outside.ts'
import { beatMs, clock } from './clock.ts'
import type { Edition } from './messages.ts'

export interface CertificatePorts {
  readonly log: Log
  readonly meter: Meter
  /** Tells every worker what proves names; resolves when all know. */
  answerChallenges(answers: ReadonlyMap<string, string>): Promise<void>
  /** Puts the config in force again, with the certificates of now. */
  changed(): Promise<void>
}

/** What certificates are kept by: where one of it changes, another keeper begins. */
interface Keeping {
  readonly key: string
  readonly keeper: CertificateKeeper
  readonly names: readonly string[]
}

/** Owns the keeper of the config in force, and what it asks other servers by. */
export class GatewayCertificates {
  readonly #ports: CertificatePorts
  readonly #deadlines = new DeadlineTable()
  readonly #outside: OutsideClient
  readonly #challenges = new Map<string, string>()
  #keeping: Keeping | null = null
  /** Of a config that is not in force yet. */
  #candidate: Keeping | null = null
  #beat: NodeJS.Timeout | null = null

  constructor(ports: CertificatePorts) {
    this.#ports = ports
    this.#outside = new OutsideClient({ clock, deadlines: this.#deadlines, meter: ports.meter })
  }

  get status(): readonly CertificateStatus[] {
    return this.#keeping?.keeper.status ?? []
  }

  /** The edition with a certificate for each name that has one by now. */
  into(edition: Edition): Edition {
    const { blueprint } = edition
    this.#candidate = this.#keepingOf(blueprint)
    const files: Record<string, string> = { ...edition.files }
    const listeners = blueprint.listeners.map(listener => this.#withPairs(listener, files))
    return { ...edition, blueprint: { ...blueprint, listeners }, files }
  }

  /** What `into` was last called with is in force. */
  adopt({ blueprint, files }: Pick<Edition, 'blueprint' | 'files'>): void {
    const { allow, ca } = blueprint.outbound
    this.#outside.adopt({ allow, ca: ca === null ? null : (files[ca] ?? null) })
    const before = this.#keeping
    const now = this.#candidate
    this.#keeping = now
    if (before !== null && before.keeper !== now?.keeper) before.keeper.close()
    if (now === null) return
    this.#beat ??= setInterval(() => this.#deadlines.beat(clock.now()), beatMs).unref()
    // A certificate that is new has changed nothing about which are wanted.
    if (before?.keeper !== now.keeper || before.names.join() !== now.names.join()) now.keeper.want(now.names)
  }

  close(): void {
    this.#keeping?.keeper.close()
    if (this.#beat !== null) clearInterval(this.#beat)
    this.#outside.close()
  }

  #withPairs(listener: ListenerBlueprint, files: Record<string, string>): ListenerBlueprint {
    const { tls } = listener
    if (tls === null || tls.acme.length === 0) return listener
    const certificates = [...tls.certificates]
    for (const name of tls.acme) {
      const pair = this.#candidate?.keeper.pair(name) ?? null
      if (pair === null) continue
      // They stand in no file that workers could name.
      const [cert, key] = [`acme: certificate of ${name}`, `acme: key of ${name}`]
      files[cert] = pair.cert
      files[key] = pair.key
      certificates.push({ cert, key })
    }
    return { ...listener, tls: { ...tls, certificates } }
  }

  #keepingOf({ acme, data, listeners }: Blueprint): Keeping | null {
    const names = [...new Set(listeners.flatMap(({ tls }) => tls?.acme ?? []))]
    if (acme === null || data === null || names.length === 0) return null
    const key = JSON.stringify([acme, data])
    if (this.#keeping?.key === key) return { ...this.#keeping, names }
    const vault = createVault(path.resolve(data), acme.directory)
    const { log, meter } = this.#ports
    const changed = () => this.#ports.changed()
    const issue = createIssuer(acme, { vault, outside: this.#outside, challenges: this.#challengePorts() })
    const times = { renewBeforeMs: acme.renewBefore, retryMs: acme.retry }
    const keeper = new CertificateKeeper(times, {
      ...{ clock, random: Math.random, log, meter, vault, issue, changed, startTimer },
    })
    return { key, keeper, names }
  }

  #challengePorts() {
    const tell = () => this.#ports.answerChallenges(new Map(this.#challenges))
    return {
      answer: (token: string, keyAuthorization: string) => {
        this.#challenges.set(token, keyAuthorization)
        return tell()
      },
      forget: (token: string) => {
        this.#challenges.delete(token)
        void tell()
      },
    }
  }
}

function startTimer(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms).unref()
  return () => clearTimeout(timer)
}
