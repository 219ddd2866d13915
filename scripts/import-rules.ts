// The one table of who may import whom, and the limits on files. Read by `npm run check` and by test/imports.test.ts.

/** Folder under src to the folders it may import besides itself. A `type:` entry may be imported for its types only. */
export const folders: Readonly<Record<string, readonly string[]>> = {
  core: [],
  http: ['core'],
  http2: ['core', 'http'],
  identity: ['core'],
  limits: ['core'],
  openapi: ['core', 'identity'],
  outside: ['core'],
  acme: ['core'],
  policies: ['core', 'identity', 'limits', 'openapi'],
  ends: ['core'],
  telemetry: ['core'],
  stores: ['core', 'limits'],
  config: ['core'],
  upstreams: ['core', 'http', 'http2'],
  runtime: ['core', 'type:config'],
  edge: ['core', 'http', 'http2', 'runtime'],
  control: ['core', 'config', 'runtime'],
  threads: ['*'],
  cli: ['*'],
  // The files directly in src: main.ts, builtin.ts, index.ts.
  '.': ['*'],
}

/** Folders whose sub-folders are separate units that never import each other. */
export const separateUnits: readonly string[] = ['policies', 'ends', 'stores']

/** npm package to the folders that may import it; none of its types leave them. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  typebox: ['core', 'config', 'openapi'],
  yaml: ['config', 'openapi'],
  commander: ['cli', '.'],
  pino: ['telemetry'],
  'pino-pretty': ['telemetry'],
  '@marcbachmann/cel-js': ['policies'],
  ioredis: ['stores'],
  'acme-client': ['acme'],
  'lru-cache': ['stores', 'policies'],
}

/** Modules of Node that open sockets, start threads or read clocks of their own, and who may import them as values. */
export const guardedModules: Readonly<Record<string, readonly string[]>> = {
  'node:net': ['edge', 'outside', 'upstreams', 'threads', 'control', 'cli', '.'],
  'node:tls': ['edge', 'upstreams', 'threads', 'control', 'config'],
  'node:http': ['control', 'cli', 'outside'],
  'node:https': ['outside'],
  'node:http2': ['outside', 'upstreams'],
  'node:dgram': [],
  'node:dns': ['outside', 'upstreams', 'threads'],
  'node:child_process': [],
  'node:cluster': [],
  'node:worker_threads': ['threads', 'telemetry', '.'],
  'node:timers': [],
}

/** Plain functions of guarded modules that anyone may use. */
export const pureNames: readonly string[] = ['isIP', 'isIPv4', 'isIPv6', 'checkServerIdentity', 'createSecureContext']

/** Tests, and what tests run in threads of their own. They may import anything. */
export const testFile: RegExp = /\.(test|hammer)\.ts$/

export const fileLinesMax = 400

/** Tables may be longer than other files. */
export const longFiles: readonly string[] = ['src/telemetry/metrics.ts']
