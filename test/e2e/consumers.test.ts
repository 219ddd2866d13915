// Consumers and keys in a running gateway, by its command line: effective on every worker within a second, kept whatever happens.
//
// Runs alone.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { Program } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const root = path.join(import.meta.dirname, '..', '..')
const extension = path.join(import.meta.dirname, 'extensions/who.ts')
const args = ['--extension', extension]
const routes = [{ match: { path: '/who' }, policies: ['who'], reply: { status: 204 } }]
const config = { data: 'state', workers: 2, routes }

interface Done {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function turnpike(
  admin: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv = {},
  input = '',
): Promise<Done> {
  const child = spawn(process.execPath, [path.join(root, 'src/main.ts'), ...words], {
    cwd: root,
    env: { ...process.env, TURNPIKE_ADMIN: admin, ...env },
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

/** Runs a command that must succeed; resolves with its JSON. */
async function managed(program: Program, ...words: string[]): Promise<Record<string, unknown>> {
  const done = await turnpike(`http://127.0.0.1:${program.adminPort}`, [...words, '--json'])
  assert.equal(done.code, 0, done.stderr)
  return JSON.parse(done.stdout) as Record<string, unknown>
}

async function statusOf(program: Program, key: string): Promise<number> {
  // A connection of its own, so that any worker may get it.
  const reply = await fetch(`${program.url}/who`, { headers: { 'x-key': key, connection: 'close' } })
  await reply.arrayBuffer()
  return reply.status
}

/** Waits until 30 calls in a row, over all workers, have this status. Fails past a second. */
async function everywhere(program: Program, key: string, status: number): Promise<void> {
  await until(
    async () => {
      for (let count = 0; count < 30; count++) if ((await statusOf(program, key)) !== status) return false
      return true
    },
    () => `every worker to answer ${status}`,
    1_000,
  )
}

test('a key works on every worker within a second, and no longer than a second after it was revoked', async () => {
  await using program = await Program.start(config, {}, args)
  await managed(program, 'consumers', 'create', 'acme', '--group', 'gold,early', '--limit', 'calls=5/s')
  const made = await managed(program, 'keys', 'create', 'acme', '--scope', 'read')
  await everywhere(program, String(made['key']), 200)
  const reply = await fetch(`${program.url}/who`, { headers: { 'x-key': String(made['key']) } })
  assert.equal(reply.headers.get('x-consumer'), 'acme')
  assert.equal(reply.headers.get('x-limits'), '{"calls":"5/s"}')
  assert.equal((await managed(program, 'keys', 'revoke', String(made['id'])))['state'], 'revoked')
  await everywhere(program, String(made['key']), 401)
  const listed = await managed(program, 'keys', 'list', '--consumer', 'acme')
  assert.ok(!JSON.stringify(listed).includes(String(made['key'])), 'a key is shown once')
  await until(
    async () => typeof (await managed(program, 'keys', 'show', String(made['id'])))['used'] === 'string',
    () => 'its last use to be written down',
    5_000,
  )
})

test('a rotated key overlaps with the one before, and without overlap replaces it', async () => {
  await using program = await Program.start(config, {}, args)
  await managed(program, 'consumers', 'create', 'acme')
  const first = await managed(program, 'keys', 'create', 'acme')
  const second = await managed(program, 'keys', 'rotate', String(first['id']), '--overlap', '1h')
  await everywhere(program, String(second['key']), 200)
  await everywhere(program, String(first['key']), 200)
  const third = await managed(program, 'keys', 'rotate', String(second['id']))
  await everywhere(program, String(third['key']), 200)
  await everywhere(program, String(second['key']), 401)
})

test('a denied address is turned away everywhere, until it is allowed again', async () => {
  await using program = await Program.start(config, {}, args)
  await managed(program, 'deny', 'add', 'address', '127.0.0.0/8', '--note', 'noise')
  await everywhere(program, 'x', 403)
  await managed(program, 'deny', 'remove', 'address', '127.0.0.0/8')
  await everywhere(program, 'x', 401)
})

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`everything is there after ${signal}`, async () => {
    const before = await Program.start(config, {}, args)
    await managed(before, 'plans', 'create', 'gold', '--limit', 'calls=9/s')
    await managed(before, 'consumers', 'create', 'acme', '--plan', 'gold')
    const made = await managed(before, 'keys', 'create', 'acme')
    before.signal(signal)
    await before.exited()
    const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-'))
    await cp(before.folder, folder, { recursive: true })
    await before.stop()
    await using program = await Program.open(folder, path.join(folder, 'turnpike.json'), args)
    await everywhere(program, String(made['key']), 200)
    assert.equal((await managed(program, 'consumers', 'show', 'acme'))['plan'], 'gold')
    assert.equal((await stat(path.join(folder, 'state/consumers.sqlite'))).mode & 0o777, 0o600)
  })
}

test('consumers of the config work without a folder for data, and nothing else can be made', async () => {
  const consumers = [{ name: 'bolt', credentials: [{ key: '${file:bolt.key}' }] }]
  await using program = await Program.start({ routes, consumers }, { 'bolt.key': 'a-key-from-outside-0123\n' }, args)
  await everywhere(program, 'a-key-from-outside-0123', 200)
  const admin = `http://127.0.0.1:${program.adminPort}`
  const refused = await turnpike(admin, ['consumers', 'create', 'acme'])
  assert.deepEqual([refused.code, refused.stdout], [1, ''])
  assert.match(refused.stderr, /Set `data: PATH` in the config/)
  assert.match((await turnpike(admin, ['consumers', 'list'])).stdout, /^NAME .*\nbolt +config:bolt .* config\n$/)
  // A reload takes further ones.
  const more = [...consumers, { name: 'cobb', credentials: [{ key: 'a'.repeat(64) }] }]
  await program.replace({ routes, consumers: more })
  await until(
    async () => /cobb/.test((await turnpike(admin, ['consumers', 'list'])).stdout),
    () => 'the consumer of the new config',
  )
})

test('a name of the config that the store has already is refused, and the config in force goes on', async () => {
  await using program = await Program.start(config, {}, args)
  await managed(program, 'consumers', 'create', 'acme')
  await program.replace({ ...config, consumers: [{ name: 'acme' }] })
  const got = (await (await program.admin('/reload', { method: 'POST' })).json()) as {
    result: string
    problems: string[]
  }
  assert.equal(got.result, 'refused')
  assert.match(got.problems[0] ?? '', /turnpike\.json:\d+:\d+: there is a consumer `acme` in the store already/)
})

test('a data file of something else stops the start with words', async () => {
  const start = Program.start({ ...config, data: '.' }, { 'consumers.sqlite': 'no database'.repeat(99) }, args)
  await assert.rejects(start, /consumers\.sqlite cannot be used: it is no database/)
})

test('commands say what is wrong, by exit code and words', async () => {
  const gone = await turnpike('http://127.0.0.1:9', ['keys', 'list'])
  assert.equal(gone.code, 5)
  assert.match(gone.stderr, /no gateway answers at http:\/\/127\.0\.0\.1:9/)
  await using program = await Program.start(config, {}, args)
  const admin = `http://127.0.0.1:${program.adminPort}`
  const unknown = await turnpike(admin, ['keys', 'create', 'nobody'])
  assert.deepEqual([unknown.code, unknown.stderr], [1, 'turnpike: there is no consumer `nobody`\n'])
  const bad = await turnpike(admin, ['consumers', 'create', 'acme', '--limit', 'calls=often'])
  assert.match(bad.stderr, /`limits\.calls` cannot be `often`\. Write a rate/)
  assert.equal((await turnpike(admin, ['keys', 'frobnicate'])).code, 2)
})

test('other kinds of credentials; a password is read from the standard input and never shown', async () => {
  await using program = await Program.start(config, {}, args)
  const admin = `http://127.0.0.1:${program.adminPort}`
  await managed(program, 'consumers', 'create', 'acme')
  const made = await turnpike(
    admin,
    ['credentials', 'create', 'acme', '--user', 'ann', '--json'],
    {},
    'correct horse\n',
  )
  assert.equal(made.code, 0, made.stderr)
  assert.doesNotMatch(made.stdout, /correct horse|argon2/)
  assert.equal(
    (await managed(program, 'credentials', 'create', 'acme', '--certificate', 'dns:a.test'))['name'],
    'dns:a.test',
  )
  const list = (await managed(program, 'credentials', 'list'))['items'] as { kind: string }[]
  assert.deepEqual(
    list.map(({ kind }) => kind),
    ['basic', 'certificate'],
  )
})

test('with a token everything but metrics and health needs it; beyond loopback nothing is managed without', async () => {
  const admin = { port: 0, token: '${file:token}' }
  await using program = await Program.start({ ...config, admin }, { token: 's3cret-token-of-admin' }, args)
  assert.equal((await program.admin('/consumers')).status, 401)
  assert.equal((await program.admin('/reload', { method: 'POST' })).status, 401)
  assert.equal((await program.admin('/metrics')).status, 200)
  const url = `http://127.0.0.1:${program.adminPort}`
  assert.equal((await turnpike(url, ['consumers', 'list'], { TURNPIKE_ADMIN_TOKEN: 's3cret-token-of-admin' })).code, 0)
  assert.match(
    (await turnpike(url, ['consumers', 'list'], { TURNPIKE_ADMIN_TOKEN: 'wrong' })).stderr,
    /does not take the token of TURNPIKE_ADMIN_TOKEN/,
  )
  assert.match(
    (await turnpike(url, ['consumers', 'list'])).stderr,
    /asks for a token.*`admin\.token`.*TURNPIKE_ADMIN_TOKEN/,
  )
  await using open = await Program.start({ ...config, admin: { port: 0, host: '0.0.0.0' } }, {}, args)
  assert.equal((await open.admin('/consumers')).status, 403)
  assert.equal((await open.admin('/keys', { method: 'POST', body: '{}' })).status, 403)
})

test('commands say what is missing, and that an address is not that of the admin API', async () => {
  await using program = await Program.start(config, {}, args)
  const said = async (words: string[], admin = `http://127.0.0.1:${program.adminPort}`) => {
    const { code, stderr } = await turnpike(admin, words)
    assert.equal(code, 1, stderr)
    return stderr
  }
  assert.match(await said(['consumers', 'list'], program.url), /404, and not as an admin API does.*--admin URL/)
  const create = ['credentials', 'create', 'acme']
  assert.match(await said(create), /is one of --user NAME, --key-id ID with --public-key FILE, and --certificate NAME/)
  assert.match(await said([...create, '--key-id', 'a']), /--key-id needs the public key: --public-key FILE/)
  assert.match(
    await said([...create, '--key-id', 'a', '--public-key', 'gone.pem']),
    /the public key gone\.pem cannot be read: there is no such file/,
  )
})

test('bodies that are not what is asked for are refused by member', async () => {
  await using program = await Program.start(config, {}, args)
  const post = async (body: string) => {
    const reply = await program.admin('/consumers', { method: 'POST', body })
    return { status: reply.status, ...((await reply.json()) as { errors?: { member: string }[] }) }
  }
  assert.equal((await post('{')).status, 400)
  assert.deepEqual(
    (await post('{"name":5}')).errors?.map(({ member }) => member),
    ['name'],
  )
  assert.deepEqual(
    (await post('{"name":"a","gruops":[]}')).errors?.map(({ member }) => member),
    ['gruops'],
  )
  assert.equal((await post('{"name":"${env:HOME}"}')).status, 400)
  assert.equal((await post(`{"name":"${'a'.repeat(70_000)}"}`)).status, 413)
  assert.equal((await post('{"name":"late"}')).status, 201)
  for (const [path, more] of [
    ['/keys', {}],
    ['/credentials', { certificate: 'dns:late.test' }],
  ] as const) {
    const body = JSON.stringify({ consumer: 'late', expires: '2020-01-01', ...more })
    const reply = await program.admin(path, { method: 'POST', body })
    assert.match(await reply.text(), /"member": "expires",\s+"message": "this time has passed"/, path)
  }
  const foreign = { method: 'DELETE', headers: { origin: 'http://evil.test' } }
  assert.equal((await program.admin('/consumers/acme', foreign)).status, 403)
})
