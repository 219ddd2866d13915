// Changes by the admin API of a gateway.

import assert from 'node:assert/strict'
import type { Program } from './program.ts'

/** What came of a POST that is to succeed. */
export async function manage(program: Program, path: string, body: object): Promise<{ id: string; key: string }> {
  const headers = { 'content-type': 'application/json' }
  const reply = await program.admin(path, { method: 'POST', headers, body: JSON.stringify(body) })
  const text = await reply.text()
  assert.ok(reply.ok, `${path}: ${reply.status} ${text}`)
  return JSON.parse(text) as { id: string; key: string }
}
