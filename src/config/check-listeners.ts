// What a schema cannot say about listeners: names and ports that collide.

import type { Found } from './found.ts'
import { partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'

const anyHosts: readonly unknown[] = [null, '0.0.0.0', '::']

/** `blueprint` may be broken in parts. */
export function checkListeners(blueprint: Found, findings: Finding[]): void {
  const listeners = partsOf(partOf(blueprint, 'listeners'))
  const names = new Map<unknown, Found>()
  for (const listener of listeners) {
    const name = partOf(listener, 'name')
    if (name === null || name.isBroken) continue
    if (names.has(name.value)) {
      const message = `two listeners are named \`${String(name.value)}\``
      findings.push({ message, hint: 'Give one of them another `name`.', span: name.span })
    } else names.set(name.value, listener)
  }
  const admin = partOf(blueprint, 'admin')
  const sockets = [...listeners, ...(admin === null || admin.value === null ? [] : [admin])]
  sockets.forEach((socket, index) => {
    const port = partOf(socket, 'port')
    const host = partOf(socket, 'host')?.value
    if (port === null || port.isBroken || port.value === 0) return
    const other = sockets.slice(0, index).find(earlier => {
      if (partOf(earlier, 'port')?.value !== port.value) return false
      const earlierHost = partOf(earlier, 'host')?.value
      return earlierHost === host || anyHosts.includes(earlierHost) || anyHosts.includes(host)
    })
    if (other === undefined) return
    const who = socket === admin ? 'the admin port' : 'this listener'
    const message = `${who} takes port ${String(port.value)}, which another listener has already`
    findings.push({ message, hint: 'Choose another `port`, or a `host` of its own for each.', span: port.span })
  })
}

/** Names that `match.listeners` may use. */
export function listenerNames(blueprint: Found): string[] {
  return partsOf(partOf(blueprint, 'listeners')).map(listener => textOf(partOf(listener, 'name')) ?? '')
}
