// The way in for `npm start`, `npm test` and the rest: sets the checkout up, then runs the command on the right Node.
// Plain JavaScript for Node 20 and later.

import { spawn } from 'node:child_process'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { printError, SetupError } from './progress.mjs'
import { prepare, root } from './toolchain.mjs'

const commands = {
  start: ['examples/start.ts'],
  test: ['scripts/test.ts'],
  bench: ['bench/run.ts'],
  check: ['scripts/check.ts'],
  format: ['node_modules/@biomejs/biome/bin/biome', 'format', '--write', '.'],
  turnpike: ['src/main.ts'],
}

const [name, ...args] = process.argv.slice(2)

try {
  requireRunningNode()
  const node = await prepare()
  if (name === 'node-path') process.stdout.write(`${node}\n`)
  else run(node, [...commandOf(name), ...args])
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  printError(error)
  process.exitCode = 1
}

function requireRunningNode() {
  if (Number(process.versions.node.split('.')[0]) >= 20) return
  throw new SetupError(`Node ${process.versions.node} is too old to set the checkout up; 20 or later is needed.`, [
    'Turnpike then brings the Node that it runs on itself.',
  ])
}

function commandOf(command) {
  const words = Object.hasOwn(commands, command) ? commands[command] : null
  if (words === null) {
    throw new SetupError(`there is no command \`${command}\`.`, [`It is one of: ${Object.keys(commands).join(', ')}`])
  }
  return [path.join(root, words[0]), ...words.slice(1)]
}

/** Runs the command as if it stood in our place: same streams, signals passed on, its exit code becomes ours. */
function run(node, words) {
  const bins = [path.dirname(node), path.join(root, 'node_modules', '.bin'), process.env.PATH]
  const env = {
    // Kept compiled code halves the time that a process and each of its workers take to start.
    NODE_COMPILE_CACHE: path.join(root, 'node_modules', '.cache', 'turnpike'),
    ...process.env,
    PATH: bins.join(path.delimiter),
  }
  const child = spawn(node, words, { stdio: 'inherit', env })
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  // A terminal sends Ctrl-C to the child as well; without one it has to be passed on.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  child.on('error', error => {
    printError(new SetupError(`${node} could not be started: ${error.message}`, []))
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (os.constants.signals[signal] ?? 0)))
}
