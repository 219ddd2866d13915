// Brings a checkout to the point where its own Node and its dependencies are there. Plain JavaScript for Node 20 and later.
//
// Nothing is asked of the network when everything is in place. Two set-ups at once wait for each other.

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { SetupError, startStep } from './progress.mjs'

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
const modules = path.join(root, 'node_modules')
const stampFile = path.join(modules, '.turnpike-ready')
const lockDir = path.join(root, '.turnpike', 'setup.lock')
const nodeMajor = 26

/** Installs what is missing and returns the path of the Node that runs the gateway. */
export async function prepare() {
  const ready = readStamp()
  if (ready !== null) return ready
  const release = await takeLock()
  try {
    return readStamp() ?? (await install())
  } finally {
    release()
  }
}

async function install() {
  if (!treeIsCurrent()) await installDependencies()
  const node = findNode() ?? (await installNode())
  fs.writeFileSync(stampFile, `${lockfileHash()}\n${path.relative(root, node)}\n`)
  return node
}

/** The path of Node written by the last set-up, or null when that set-up was for another lockfile. */
function readStamp() {
  try {
    const [hash, node] = fs.readFileSync(stampFile, 'utf8').split('\n')
    const file = path.resolve(root, node)
    if (hash !== lockfileHash() || !fs.existsSync(file)) return null
    // bin/turnpike compares ages instead of hashes.
    const now = new Date()
    fs.utimesSync(stampFile, now, now)
    return file
  } catch {
    return null
  }
}

function lockfileHash() {
  return createHash('sha256').update(readRequired('package-lock.json')).digest('hex')
}

function readRequired(name) {
  try {
    return fs.readFileSync(path.join(root, name), 'utf8')
  } catch {
    throw new SetupError(`${name} is missing from ${root}.`, ['Get it back with: git checkout -- ' + name])
  }
}

/** Whether what npm says it installed is what the lockfile asks for. */
function treeIsCurrent() {
  let installed
  try {
    installed = JSON.parse(fs.readFileSync(path.join(modules, '.package-lock.json'), 'utf8')).packages
  } catch {
    return false
  }
  const wanted = JSON.parse(readRequired('package-lock.json')).packages
  return Object.entries(wanted).every(
    ([place, entry]) => place === '' || entry.optional || installed[place]?.version === entry.version,
  )
}

async function installDependencies() {
  requireNpm()
  const count =
    Object.values(JSON.parse(readRequired('package-lock.json')).packages).filter(e => !e.optional).length - 1
  const step = startStep(`Installing Node ${nodeMajor} and ${count - 1} packages from the lockfile`)
  const result = await npm(['ci', '--include=dev', '--include=optional'])
  if (result.code !== 0) {
    step.fail()
    throw npmError('npm ci', result)
  }
  step.done()
}

/** The first Node on the list of candidates that is new enough and really runs here. */
function findNode() {
  const candidates = [
    path.join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node'),
    path.join(modules, '.turnpike-node', 'node_modules', nodePackage(), 'bin', 'node'),
    process.execPath,
  ]
  return candidates.find(file => runsAsNode(file)) ?? null
}

function runsAsNode(file) {
  if (!fs.existsSync(file)) return false
  const { status, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8' })
  return status === 0 && Number(/^v(\d+)\./.exec(stdout)?.[1]) >= nodeMajor
}

/** The package `node` fetches its binary in an install script. Where npm does not run those, we fetch it here. */
async function installNode() {
  requireNpm()
  const { version } = JSON.parse(fs.readFileSync(path.join(modules, 'node', 'package.json'), 'utf8'))
  const wanted = `${nodePackage()}@${version}`
  const step = startStep(`Fetching Node ${version} for ${process.platform} ${process.arch}`)
  const prefix = path.join(modules, '.turnpike-node')
  fs.mkdirSync(prefix, { recursive: true })
  fs.writeFileSync(path.join(prefix, 'package.json'), '{ "private": true }\n')
  const result = await npm(['install', '--prefix', prefix, '--no-save', '--no-package-lock', wanted], prefix)
  const node = findNode()
  if (result.code !== 0 || node === null) {
    step.fail()
    if (result.code !== 0) throw npmError(`npm install ${wanted}`, result)
    throw new SetupError(`Node ${version} was installed, but it does not run on this machine.`, [
      `Install Node ${nodeMajor} or later in another way (nodejs.org, nvm, your distribution),`,
      'put it first on the PATH and run the same command again.',
    ])
  }
  step.done()
  return node
}

/** Name of the npm package that holds the binary for this machine. */
function nodePackage() {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const prefix = platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'
  return `${prefix}-${platform}-${process.arch}`
}

function requireNpm() {
  const { status, stdout, error } = spawnSync('npm', ['--version'], {
    encoding: 'utf8',
    env: npmEnvironment(),
    shell: process.platform === 'win32',
  })
  if (error || status !== 0) {
    throw new SetupError('npm was not found; it is needed once, to install the dependencies.', [
      'It comes with Node.js: install Node 20 or later with npm, then run the same command again.',
    ])
  }
  if (Number(stdout.split('.')[0]) < 8) {
    throw new SetupError(`npm ${stdout.trim()} is too old; 8 or later is needed to read the lockfile.`, [
      'Update it with: npm install --global npm@11',
    ])
  }
}

/** Runs npm and keeps what it printed. */
function npm(args, cwd = root) {
  // Short pauses between tries, so that a machine without network is told so within seconds.
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--fetch-retry-mintimeout=500']
  const slow = ['--fetch-retry-maxtimeout=4000']
  return new Promise(resolve => {
    const child = spawn('npm', [...args, ...quiet, ...slow], {
      cwd,
      env: npmEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    })
    let output = ''
    child.stdout.on('data', text => (output += text))
    child.stderr.on('data', text => (output += text))
    child.on('error', error => resolve({ code: 1, output: String(error) }))
    child.on('close', code => resolve({ code: code ?? 1, output }))
  })
}

/** The environment without our own node_modules on the PATH: npm must not run on a Node that it is about to replace. */
function npmEnvironment() {
  const entries = (process.env.PATH ?? '').split(path.delimiter)
  const kept = entries.filter(entry => !entry.startsWith(modules))
  return { ...process.env, PATH: kept.join(path.delimiter), npm_config_update_notifier: 'false' }
}

function npmError(command, { output }) {
  const lines = output.split('\n').filter(line => /^npm (error|ERR!)/.test(line) && !/complete log/.test(line))
  const said = (lines.length > 0 ? lines : output.split('\n')).slice(0, 8)
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ECONNRESET|network/.test(output)) {
    return new SetupError('The npm registry could not be reached, and the dependencies are not installed yet.', [
      'Check the network, or a proxy in between: npm config set proxy http://HOST:PORT',
      'With a registry of your own: npm config set registry https://YOUR-REGISTRY/',
      'Then run the same command again. What npm said:',
      ...said.map(line => `  ${line}`),
    ])
  }
  const hints = /ENOSPC/.test(output)
    ? ['The disk is full: free about 600 MB, then run the same command again.']
    : /EACCES|EPERM/.test(output)
      ? [`This user may not write to ${modules}: mend its owner, then run the same command again.`]
      : ['Delete the folder node_modules and run the same command again.']
  return new SetupError(`\`${command}\` failed.`, [...hints, 'What npm said:', ...said.map(line => `  ${line}`)])
}

/** Waits until no other set-up works on this checkout, and returns how to end ours. */
async function takeLock() {
  fs.mkdirSync(path.dirname(lockDir), { recursive: true })
  let step = null
  for (;;) {
    try {
      fs.mkdirSync(lockDir)
      fs.writeFileSync(path.join(lockDir, 'pid'), String(process.pid))
      step?.done()
      const release = () => fs.rmSync(lockDir, { recursive: true, force: true })
      process.once('exit', release)
      return release
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (lockIsStale()) {
      fs.rmSync(lockDir, { recursive: true, force: true })
      continue
    }
    step ??= startStep('Waiting for another set-up of this checkout to finish')
    await new Promise(resolve => setTimeout(resolve, 300))
  }
}

/** A lock whose owner is dead, or that never got an owner. */
function lockIsStale() {
  try {
    const pid = Number(fs.readFileSync(path.join(lockDir, 'pid'), 'utf8'))
    process.kill(pid, 0)
    return false
  } catch (error) {
    if (error.code === 'ESRCH') return true
    if (error.code === 'EPERM') return false
    const age = Date.now() - (fs.statSync(lockDir, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
    return age > 5000
  }
}
