// Options of one policy as the config would resolve them: defaults filled in, units read, short forms written out.

import { resolve } from '../../src/config/resolve.ts'
import type { PolicyDefinition } from '../../src/core/policy.ts'
import type { Static, TSchema } from '../../src/core/schema.ts'
import { reply } from '../../src/ends/reply.ts'

/** @throws Error with all mistakes where the options are refused. `files` are texts by the path written in the options. */
export function resolveOptions<S extends TSchema>(
  definition: PolicyDefinition<S>,
  written: unknown,
  files: Readonly<Record<string, string>> = {},
): Static<S> {
  const pem = 'listener.pem'
  const config = {
    data: 'data',
    listeners: [{ port: 8443, tls: { certificates: [{ cert: pem, key: pem }], clientCa: pem } }],
    routes: [{ match: { path: '/**' }, policies: [{ [definition.name]: written }], reply: { status: 204 } }],
  }
  const resolution = resolve({
    sources: [{ path: '/config.json', label: 'config.json', text: JSON.stringify(config) }],
    language: { policies: [definition], ends: [reply] },
    surroundings: {
      env: {},
      readText(path) {
        const text = path.endsWith(pem) ? '' : (files[path] ?? files[path.replace(/^\//, '')])
        if (text === undefined) throw new Error('there is no such file')
        return text
      },
    },
  })
  if (!resolution.ok) throw new Error(resolution.problems.map(({ message }) => message).join('\n'))
  // The border where the resolved value gets its type: it went along the schema that the type is made of.
  return resolution.blueprint.routes[0]?.policies[0]?.options as Static<S>
}
