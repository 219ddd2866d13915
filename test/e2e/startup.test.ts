// Start-up and the command line: what is said and with which exit code, when it works and when it does not.
//
// Runs alone.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { selfSigned } from '../../examples/tls/certificate.ts'
import { ExitCode } from '../../src/cli/exit-codes.ts'
import { ask } from '../tools/ask.ts'
import { Program, runTurnpike } from '../tools/program.ts'
import { until } from '../tools/until.ts'

const pong = { match: { path: '/ping' }, reply: { body: 'pong' } }

let folder = ''
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-startup-'))
})
after(() => rm(folder, { recursive: true }))

async function runWith(
  text: string,
  name = 'turnpike.yaml',
): Promise<{ code: number | null; said: string; file: string }> {
  const file = path.join(folder, name)
  await writeFile(file, text)
  const { code, stderr } = await runTurnpike(['run', file])
  return { code, said: stderr, file }
}

describe('turnpike', { concurrency: 2 }, () => {
  test('--help: exit 0, commands and exit codes', async () => {
    const { code, stdout } = await runTurnpike(['--help'])
    assert.equal(code, ExitCode.ok)
    for (const command of ['run', 'check', 'explain', 'schema']) assert.match(stdout, new RegExp(`\\n  ${command} `))
    assert.match(stdout, /Exit codes:/)
  })

  test('--version: exit 0 and the version', async () => {
    const { code, stdout } = await runTurnpike(['--version'])
    assert.equal(code, ExitCode.ok)
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
  })

  for (const [what, args, says] of [
    ['an unknown command', ['runn', 'x'], /unknown command 'runn'/],
    ['no config', ['run'], /missing required argument 'config'/],
    ['an unknown option', ['run', '--wach', 'x'], /unknown option '--wach'/],
    ['an impossible choice', ['run', 'x', '--log-level', 'loud'], /Allowed choices are debug, info, warn, error/],
  ] as const) {
    test(`${what}: exit 2 and what was not understood`, async () => {
      const { code, stderr } = await runTurnpike(args)
      assert.equal(code, ExitCode.usage)
      assert.match(stderr, says)
    })
  }

  test('nothing at all: exit 2 and the help', async () => {
    const { code, stderr } = await runTurnpike([])
    assert.equal(code, ExitCode.usage)
    assert.match(stderr, /Usage: turnpike/)
  })
})

describe('turnpike run', { concurrency: 2 }, () => {
  test('an extension that is not there: exit 1 and its path', async () => {
    const { code, stderr } = await runTurnpike(['check', 'x.yaml', '--extension', path.join(folder, 'gone.ts')])
    assert.equal(code, ExitCode.failed)
    assert.match(stderr, /^turnpike: there is no extension .*gone\.ts\. Check the path\.\n$/)
  })

  test('a host that does not resolve: exit 4, the name and what to do', async () => {
    const { code, said } = await runWith(
      'listeners: [{ port: 8080, host: no-such-host.invalid }]\nroutes: [{ match: { path: /a }, reply: { body: a } }]\n',
      'host.yaml',
    )
    assert.equal(code, ExitCode.port)
    assert.match(said, /no-such-host\.invalid:8080: the name does not resolve\. Correct `host`/)
  })

  test('a folder for data below a link that leads nowhere: exit 1 and which folder', async () => {
    await symlink(path.join(folder, 'gone'), path.join(folder, 'dangling'))
    const { code, said } = await runWith(
      'data: dangling/state\nroutes: [{ match: { path: /a }, reply: { body: a } }]\n',
      'dangling.yaml',
    )
    assert.equal(code, ExitCode.failed)
    assert.match(said, /dangling\/state\/consumers\.sqlite cannot be used: its folder cannot be made/)
  })

  test('a config that is not there: exit 3 and its path', async () => {
    const file = path.join(folder, 'nowhere.yaml')
    const { code, stderr } = await runTurnpike(['run', file])
    assert.equal(code, ExitCode.config)
    assert.ok(stderr.includes(file), stderr)
    assert.doesNotMatch(stderr, /\n\s+at /, 'a stack trace is no message')
  })

  test('a config with a mistake: exit 3 and file:line:column', async () => {
    const { code, said, file } = await runWith('listeners:\n  - prt: 8080\nroutes: []\n', 'mistake.yaml')
    assert.equal(code, ExitCode.config)
    assert.ok(said.includes(`${file}:2:5: `) || said.includes('mistake.yaml:2:5: '), said)
    assert.match(said, /nothing was started/)
  })

  test('an upstream name that does not resolve: exit 3, the name and its place', async () => {
    const text = `listeners: [{ port: 0, host: 127.0.0.1 }]
upstreams:
  shop:
    targets:
      - http://no-such-host.invalid:9001
routes: [{ match: { path: "/**" }, forward: shop }]
`
    const { code, said } = await runWith(text, 'unresolved.yaml')
    assert.equal(code, ExitCode.config)
    assert.match(said, /unresolved\.yaml:5:9: the name no-such-host\.invalid does not resolve/)
  })

  test('a certificate that is not there: exit 3, its path and place', async () => {
    const { code, said } = await runWith(tlsConfig('gone.pem', 'gone.key'), 'gone.yaml')
    assert.equal(code, ExitCode.config)
    assert.match(said, /gone\.yaml:5:\d+: .*gone\.pem/)
  })

  test('a certificate that is none: exit 3, its path and place', async () => {
    await writeFile(path.join(folder, 'bad.pem'), 'no certificate\n')
    const { code, said } = await runWith(tlsConfig('bad.pem', 'bad.pem'), 'bad.yaml')
    assert.equal(code, ExitCode.config)
    assert.match(said, /bad\.yaml:5:\d+: .*bad\.pem/)
  })

  test('a key that belongs to another certificate: exit 3 and both paths', async () => {
    const [a, b] = [selfSigned(['a.test']), selfSigned(['b.test'])]
    await writeFile(path.join(folder, 'a.pem'), a.cert)
    await writeFile(path.join(folder, 'b.key'), b.key)
    const { code, said } = await runWith(tlsConfig('a.pem', 'b.key'), 'mixed.yaml')
    assert.equal(code, ExitCode.config)
    assert.match(said, /mixed\.yaml:5:\d+: .*a\.pem.*b\.key/)
  })

  test('a certificate that may not be read: exit 3 and why', {
    skip: process.getuid?.() === 0 && 'root may read everything',
  }, async () => {
    await writeFile(path.join(folder, 'secret.pem'), selfSigned(['a.test']).cert)
    await chmod(path.join(folder, 'secret.pem'), 0)
    const { code, said } = await runWith(tlsConfig('secret.pem', 'secret.pem'), 'secret.yaml')
    assert.equal(code, ExitCode.config)
    assert.match(said, /permission/)
  })

  test('a port in use: exit 4, the port and what to do', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as AddressInfo
    const config = JSON.stringify({ listeners: [{ port, host: '127.0.0.1' }], routes: [pong] })
    const { code, said } = await runWith(config, 'taken.json')
    holder.close()
    assert.equal(code, ExitCode.port)
    assert.match(said, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: it is in use by another program`))
  })

  test('a port that another gateway serves: exit 4, never half of its calls', async () => {
    await using first = await Program.start({ routes: [pong] })
    const config = JSON.stringify({ listeners: [{ port: first.port, host: '127.0.0.1' }], routes: [pong] })
    const { code } = await runWith(config, 'second.json')
    assert.equal(code, ExitCode.port)
    assert.equal((await ask(first.port, { path: '/ping' })).text, 'pong')
  })

  test('an admin port in use: exit 4, the port and what to do', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as AddressInfo
    const config = JSON.stringify({ listeners: [{ port: 0, host: '127.0.0.1' }], admin: { port }, routes: [pong] })
    const { code, said } = await runWith(config, 'admin.json')
    holder.close()
    assert.equal(code, ExitCode.port)
    assert.match(said, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}`))
  })
})

describe('a running gateway that gets a config it cannot take', () => {
  test('goes on unharmed, says why with the place, once, and takes the next good one', async t => {
    const holder = net.createServer().listen(0, '127.0.0.1')
    t.after(() => holder.close())
    await once(holder, 'listening')
    const taken = (holder.address() as AddressInfo).port
    await using program = await Program.start({ routes: [pong] })
    const listener = { port: program.port, host: '127.0.0.1' }
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    const bad: [config: object, says: RegExp][] = [
      [{ routes: [{ match: { path: '/ping' }, rply: {} }] }, /turnpike\.json:\d+:\d+: .*`?rply/],
      [
        {
          upstreams: { a: { targets: ['http://no-such-host.invalid'] } },
          routes: [{ match: { path: '/**' }, forward: 'a' }],
        },
        /turnpike\.json:\d+:\d+: the name no-such-host\.invalid does not resolve/,
      ],
      [
        {
          listeners: [{ ...listener, tls: { certificates: [{ cert: 'gone.pem', key: 'gone.key' }] } }],
          routes: [pong],
        },
        /turnpike\.json:\d+:\d+: .*gone\.pem/,
      ],
      [
        { listeners: [listener, { port: taken, host: '127.0.0.1' }], routes: [pong] },
        new RegExp(`cannot listen on 127\\.0\\.0\\.1:${taken}`),
      ],
    ]
    for (const [config, says] of bad) {
      const before = await program.total('turnpike_config_reloads_total', { result: 'refused' })
      await program.rewrite(config)
      await until(
        () => says.test(program.stderr),
        () => `${says} in the log`,
      )
      assert.ok((await program.total('turnpike_config_reloads_total', { result: 'refused' })) > before)
      assert.equal(await program.total('turnpike_config_last_reload_successful'), 0)
      assert.equal((await ask(program.port, { path: '/ping', agent })).text, 'pong')
      const again = await program.admin('/reload', { method: 'POST' })
      assert.equal(again.status, 422)
      assert.equal([...program.stderr.matchAll(new RegExp(says, 'g'))].length, 1, 'told more than once')
    }
    await program.rewrite({ routes: [{ match: { path: '/ping' }, reply: { body: 'pong again' } }] })
    await until(
      async () => (await ask(program.port, { path: '/ping', agent })).text === 'pong again',
      () => 'the good config',
    )
    assert.equal(await program.total('turnpike_config_last_reload_successful'), 1)
  })
})

function tlsConfig(cert: string, key: string): string {
  return `listeners:
  - port: 0
    host: 127.0.0.1
    tls:
      certificates: [{ cert: ${cert}, key: ${key} }]
routes: [{ match: { path: /ping }, reply: { body: pong } }]
`
}
