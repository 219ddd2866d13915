// Other people's proxies as programs of their own, from the PATH, with a config of the test's making.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { findTool } from '../../scripts/tools.ts'
import { isAnswering } from '../../examples/ports.ts'
import { until } from './until.ts'

export interface Outsider {
  stop(): Promise<void>
}

/** HAProxy in one mode, with these sections and files beside its config. Resolves when it answers on all ports. */
export async function haproxy(
  mode: 'tcp' | 'http',
  sections: readonly string[],
  ports: readonly number[],
  files: Readonly<Record<string, string>> = {},
): Promise<Outsider> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-haproxy-'))
  const file = path.join(folder, 'haproxy.cfg')
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text)
  const timeouts = 'timeout connect 5s\n  timeout client 30s\n  timeout server 30s'
  await writeFile(file, `global\n  nbthread 1\ndefaults\n  mode ${mode}\n  ${timeouts}\n${sections.join('\n')}\n`)
  return started(
    spawn('haproxy', ['-db', '-f', file], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] }),
    folder,
    ports,
  )
}

const streamModules = ['/usr/lib/nginx/modules/ngx_stream_module.so', '/usr/lib64/nginx/modules/ngx_stream_module.so']

/** Whether nginx is here and proxies connections. */
export function nginxHasStream(): boolean {
  if (findTool('nginx') === null) return false
  if (streamModules.some(file => existsSync(file))) return true
  return /--with-stream( |$)/m.test(execFileSync('sh', ['-c', 'nginx -V 2>&1'], { encoding: 'utf8' }))
}

/** nginx with these blocks and files beside its config. Resolves when it answers on all ports. */
export async function nginx(
  blocks: string,
  ports: readonly number[],
  files: Readonly<Record<string, string>> = {},
): Promise<Outsider> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'turnpike-nginx-'))
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text, { mode: 0o644 })
  const module = blocks.includes('stream {') ? streamModules.find(file => existsSync(file)) : undefined
  const load = module === undefined ? '' : `load_module ${module};\n`
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/tmp;`)
  const config = `${load}daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 512; }
${blocks.replace('http {', `http { ${temporary.join(' ')}`)}\n`
  await writeFile(path.join(folder, 'nginx.conf'), config)
  const args = ['-p', folder, '-c', path.join(folder, 'nginx.conf')]
  return started(spawn('nginx', args, { stdio: ['ignore', 'ignore', 'pipe'] }), folder, ports)
}

async function started(child: ChildProcess, folder: string, ports: readonly number[]): Promise<Outsider> {
  let complaints = ''
  child.stderr?.on('data', (text: Buffer) => (complaints += text.toString()))
  const exited = once(child, 'exit')
  for (const port of ports) {
    await until(
      async () => child.exitCode !== null || (await isAnswering(port)),
      () => `a proxy to answer on port ${port}: ${complaints}`,
    )
  }
  if (child.exitCode !== null) throw new Error(`the proxy ended: ${complaints}`)
  return {
    async stop() {
      if (child.exitCode === null) child.kill('SIGTERM')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
