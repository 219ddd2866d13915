// Starts each example as `npm start` does and runs the calls that it prints, word for word.
//
// Runs alone.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Example } from '../../examples/example.ts'
import { isFree } from '../../examples/ports.ts'
import { findTool } from '../../scripts/tools.ts'
import { testGuide } from './guide.ts'

const root = path.join(import.meta.dirname, '..', '..')
const folder = path.join(root, 'examples')
const shell = promisify(execFile)

const entries = readdirSync(folder, { withFileTypes: true })
for (const { name } of entries.filter(entry => entry.isDirectory())) {
  const { example } = (await import(path.join(folder, name, 'example.ts'))) as { example: Example }
  describe(`example ${name}`, { skip: await reasonToSkip(example) }, () => testExample(name, example))
}
await testGuide()

async function reasonToSkip(example: Example): Promise<string | false> {
  if (findTool('curl') === null) return 'curl is not installed'
  for (const port of [...example.ports, ...example.services.map(service => service.port)]) {
    if (process.env.CI !== 'true' && !(await isFree(port))) return `port ${port} is in use on this machine`
  }
  return false
}

function testExample(name: string, example: Example): void {
  test('starts, answers its sample calls and stops', async t => {
    const child = spawn(process.execPath, ['examples/start.ts', name], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    const exited = once(child, 'exit')
    t.after(() => child.kill('SIGTERM'))
    const output = await outputUntil(child, 'Ctrl-C stops everything.')
    for (const { title, command, expect } of example.calls) {
      assert.ok(output.includes(command), 'the command was not printed')
      await t.test(title, async () => {
        const { stdout } = await shell('sh', ['-c', command], { cwd: root, timeout: 20_000 })
        assert.match(stdout, expect)
      })
    }
    const draining = outputUntil(child, 'draining')
    child.kill('SIGINT')
    await draining
    // Whoever presses Ctrl-C again is left with no service that runs on.
    child.kill('SIGINT')
    assert.deepEqual(await exited, [0, null])
    for (const port of example.ports) assert.ok(await isFree(port), `port ${port} is still taken`)
  })
}

/** What the child printed until the words came. Rejects with all of it when the child ends before. */
function outputUntil(child: ChildProcess, words: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    const take = (text: unknown): void => {
      output += String(text)
      if (output.includes(words)) resolve(output)
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
    child.on('exit', code => reject(new Error(`it ended with code ${code} and printed:\n${output}`)))
  })
}
