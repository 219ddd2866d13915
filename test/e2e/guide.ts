// Follows the guides word for word: saves their configs, runs their commands, and looks for what they promise.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { type TestContext, test } from 'node:test'
import { isAnswering, isFree } from '../../examples/ports.ts'
import { findTool } from '../../scripts/tools.ts'
import { until } from '../tools/until.ts'

const root = path.join(import.meta.dirname, '..', '..')
const guide = readFileSync(path.join(root, 'docs/guides/protect-an-api.md'), 'utf8')

interface Block {
  readonly kind: string
  readonly text: string
}

const blocks: Block[] = [...guide.matchAll(/^```(\w+)\n(.*?)^```/gms)].map(([, kind = '', text = '']) => ({
  kind,
  text,
}))
/** Declares the test. It takes the ports of the guide, so that it cannot run beside the examples. */
export async function testGuide(): Promise<void> {
  const isTaken = !(await isFree(8080)) || !(await isFree(9080))
  const reason =
    findTool('curl') === null
      ? 'curl is not installed (Debian: apt-get install curl)'
      : 'port 8080 or 9080 is in use on this machine'
  const skip = findTool('curl') === null || (process.env.CI !== 'true' && isTaken) ? reason : false
  test('guide: protect an API in five minutes', { skip, timeout: 180_000 }, followGuide)
}

async function followGuide(t: TestContext): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turnpike-guide-'))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(path.join(folder, 'bin'))
  const command = `#!/bin/sh\nexec ${path.join(root, 'bin/turnpike')} "$@"\n`
  writeFileSync(path.join(folder, 'bin/turnpike'), command, { mode: 0o755 })
  const [config, ...commands] = blocks.filter(({ kind, text }) => kind !== 'yaml' || text.includes('routes:'))
  assert.equal(config?.kind, 'yaml')
  writeFileSync(path.join(folder, 'protect.yaml'), config.text)

  const [start, ...rest] = commands
  assert.match(start?.text ?? '', /^bin\/turnpike run \S+\n$/)
  const gateway = spawn('sh', ['-c', `exec ${start?.text}`], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  const exited = once(gateway, 'exit')
  t.after(async () => {
    gateway.kill('SIGTERM')
    await exited
  })
  await until(
    () => isAnswering(8080),
    () => 'the gateway of the guide to answer',
    20_000,
  )

  // One shell runs all, because later commands use variables of earlier ones. A line tells where each block ends.
  const script = rest
    .map(({ kind, text }, index) => (kind === 'sh' ? `${text}echo "== end of ${index} =="\n` : ''))
    .join('')
  const output = execFileSync('sh', ['-eu', '-c', script], { cwd: folder, encoding: 'utf8' })
  let shown = ''
  let from = 0
  for (const [index, { kind, text }] of rest.entries()) {
    if (kind === 'sh') {
      const end = output.indexOf(`== end of ${index} ==`)
      shown = output.slice(from, end)
      from = end
      continue
    }
    let at = 0
    for (const line of text.trim().split('\n')) {
      const pattern = line
        .split('…')
        .map(part => RegExp.escape(part))
        .join('.+')
      const found = new RegExp(pattern, 'i').exec(shown.slice(at))
      assert.ok(found, `the guide promises «${line}», but what came is:\n${shown}`)
      at += found.index + found[0].length
    }
  }
}
