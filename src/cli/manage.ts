// `turnpike consumers`, `apps`, `keys`, `credentials`, `plans`, `deny` and `cache`: what is managed in a running gateway.

import { readFileSync } from 'node:fs'
import process from 'node:process'
import type { Command } from 'commander'
import { AdminRefused, type Answered, askAdmin } from './admin-client.ts'
import { ExitCode } from './exit-codes.ts'
import { expiryOf, labelsOf, pairsOf, wordsOf } from './manage-values.ts'
import { renderRows, renderThing } from './table.ts'

interface Shared {
  readonly admin: string
  readonly json?: boolean
}

type Values = Shared & Readonly<Record<string, unknown>>
type Ask = (method: string, path: string, body?: object) => Promise<Answered>

/** `end` takes the exit code. */
export function addManageCommands(program: Command, end: (code: number) => void): void {
  const noun = (name: string, description: string) => {
    const group = program.command(name).description(description)
    const verb = (
      usage: string,
      about: string,
      act: (words: readonly string[], values: Values, ask: Ask) => Promise<Printed>,
      options: (command: Command) => Command = command => command,
    ) => {
      const command = options(group.command(usage).description(about))
        .option('--admin <url>', 'where the admin API is', process.env['TURNPIKE_ADMIN'] ?? 'http://127.0.0.1:9080')
        .option('--json', 'print JSON')
      command.action(async (...given: unknown[]) => {
        const words = given.slice(0, -2).map(String)
        end(await perform(command.opts(), (values, ask) => act(words, values, ask)))
      })
    }
    return verb
  }
  addConsumers(noun('consumers', 'who may call: list, create, show, update, remove'))
  addApps(noun('apps', 'programs that consumers registered: list, create, show, update, remove'))
  addKeys(noun('keys', 'API keys: list, create, show, update, rotate, revoke, remove'))
  addCredentials(noun('credentials', 'user names, public keys, certificates: list, create, show, revoke, remove'))
  addPlans(noun('plans', 'what consumers buy: list, create, show, update, remove'))
  addCache(noun('cache', 'replies that are kept: purge'))
  addDenials(noun('deny', 'addresses and the like that are turned away: list, add, remove'))
}

type Verb = (
  usage: string,
  about: string,
  act: (words: readonly string[], values: Values, ask: Ask) => Promise<Printed>,
  options?: (command: Command) => Command,
) => void

/** What is printed, and as which table. */
interface Printed {
  readonly value: Answered
  readonly columns?: readonly string[]
  /** A line for people, on the standard error stream. */
  readonly note?: string
}

async function perform(values: Values, act: (values: Values, ask: Ask) => Promise<Printed>): Promise<number> {
  const access = { admin: values.admin, token: process.env['TURNPIKE_ADMIN_TOKEN'] }
  try {
    const { value, columns, note } = await act(values, (method, path, body) => askAdmin(access, method, path, body))
    const rows = value['items'] as readonly Answered[] | undefined
    if (values.json === true) process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
    else if (columns === undefined || rows === undefined) process.stdout.write(renderThing(value))
    else process.stdout.write(renderRows(rows, columns))
    if (note !== undefined && values.json !== true) process.stderr.write(`${note}\n`)
    if (typeof value['next'] === 'string') process.stderr.write(`There is more: --after ${value['next']}\n`)
    return ExitCode.ok
  } catch (error) {
    process.stderr.write(`turnpike: ${error instanceof Error ? error.message : String(error)}\n`)
    return error instanceof AdminRefused && error.isUnreachable ? ExitCode.unreachable : ExitCode.failed
  }
}

const paged = (command: Command) =>
  command.option('--limit <count>', 'how many at once', '100').option('--after <place>', 'where the last page ended')

const consumerOptions = (command: Command) =>
  command
    .option('--group <names>', 'groups, with commas')
    .option('--label <name=value...>', 'labels')
    .option('--plan <name>', 'what it buys')
    .option('--limit <name=rate...>', 'limits of its own, such as calls=1000/minute')

function consumerBody({ group, label, plan, limit }: Values): object {
  return {
    ...(group !== undefined && { groups: wordsOf(group) }),
    ...(label !== undefined && { labels: labelsOf(label) }),
    ...(plan !== undefined && { plan }),
    ...(limit !== undefined && { limits: pairsOf(limit, '--limit') }),
  }
}

function query(values: Values, names: readonly string[]): string {
  const given = names.flatMap(name => (values[name] === undefined ? [] : [[name, values[name] as string]]))
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`
}

/** `list`, `show` and `remove`, which are alike for all. */
function addCommon(verb: Verb, path: string, columns: readonly string[], filters: (command: Command) => Command): void {
  verb(
    'list',
    'list them',
    async (_words, values, ask) => ({
      value: await ask('GET', `${path}${query(values, ['limit', 'after', 'consumer', 'app', 'kind'])}`),
      columns,
    }),
    command => filters(paged(command)),
  )
  verb('show <id>', 'show one', async ([id = ''], _values, ask) => ({
    value: await ask('GET', `${path}/${encodeURIComponent(id)}`),
  }))
  verb('remove <id>', 'remove one, with all that belongs to it', async ([id = ''], _values, ask) => ({
    value: await ask('DELETE', `${path}/${encodeURIComponent(id)}`),
  }))
}

const noFilter = (command: Command) => command
const byConsumer = (command: Command) => command.option('--consumer <name>', 'those of one consumer')

function addConsumers(verb: Verb): void {
  addCommon(verb, '/consumers', ['name', 'id', 'groups', 'plan', 'labels', 'source'], noFilter)
  verb(
    'create <name>',
    'create one',
    async ([name = ''], values, ask) => ({ value: await ask('POST', '/consumers', { name, ...consumerBody(values) }) }),
    consumerOptions,
  )
  verb(
    'update <name>',
    'change what is given, leave the rest',
    async ([name = ''], values, ask) => ({
      value: await ask('PATCH', `/consumers/${encodeURIComponent(name)}`, {
        ...consumerBody(values),
        ...(values['name'] !== undefined && { name: values['name'] }),
      }),
    }),
    command => consumerOptions(command).option('--name <name>', 'another name'),
  )
}

const labelled = (command: Command) => command.option('--label <name=value...>', 'labels')

function addApps(verb: Verb): void {
  addCommon(verb, '/apps', ['id', 'name', 'consumer', 'labels'], byConsumer)
  verb(
    'create <consumer> <name>',
    'create one',
    async ([consumer, name], { label }, ask) => ({
      value: await ask('POST', '/apps', { consumer, name, ...(label !== undefined && { labels: labelsOf(label) }) }),
    }),
    labelled,
  )
  verb(
    'update <id>',
    'change what is given, leave the rest',
    async ([id = ''], { label, name }, ask) => ({
      value: await ask('PATCH', `/apps/${encodeURIComponent(id)}`, {
        ...(name !== undefined && { name }),
        ...(label !== undefined && { labels: labelsOf(label) }),
      }),
    }),
    command => labelled(command).option('--name <name>', 'another name'),
  )
}

const credentialOptions = (command: Command) =>
  labelled(command)
    .option('--scope <names>', 'scopes, with commas')
    .option('--expires <when>', 'a date, or a duration from now such as 90d')

function credentialBody({ scope, label, expires }: Values): object {
  return {
    ...(scope !== undefined && { scopes: wordsOf(scope) }),
    ...(label !== undefined && { labels: labelsOf(label) }),
    ...(expires !== undefined && { expires: expiryOf(expires as string, Date.now()) }),
  }
}

const shownOnce = 'The key is shown this once. Keep it safe.'

function addKeys(verb: Verb): void {
  const columns = ['id', 'hint', 'consumer', 'scopes', 'state', 'expires', 'used', 'source']
  addCommon(verb, '/keys', columns, command => byConsumer(command).option('--app <id>', 'those of one application'))
  addRevoke(verb)
  verb(
    'create <consumer>',
    'create one; prints the key, once',
    async ([consumer], values, ask) => ({
      value: await ask('POST', '/keys', {
        consumer,
        ...(values['app'] !== undefined && { app: values['app'] }),
        ...credentialBody(values),
      }),
      note: shownOnce,
    }),
    command => credentialOptions(command).option('--app <id>', 'the application it belongs to'),
  )
  verb(
    'update <id>',
    'change what is given, leave the rest',
    async ([id = ''], values, ask) => ({
      value: await ask('PATCH', `/keys/${encodeURIComponent(id)}`, credentialBody(values)),
    }),
    credentialOptions,
  )
  verb(
    'rotate <id>',
    'put another key in its place; prints it, once',
    async ([id = ''], values, ask) => ({
      value: await ask('POST', `/keys/${encodeURIComponent(id)}/rotate`, {
        overlap: values['overlap'],
        ...(values['expires'] !== undefined && { expires: expiryOf(values['expires'] as string, Date.now()) }),
      }),
      note: shownOnce,
    }),
    command =>
      command
        .option('--overlap <duration>', 'how long the old key stays valid', '0s')
        .option('--expires <when>', 'of the new key: a date, or a duration from now'),
  )
}

function addRevoke(verb: Verb): void {
  verb('revoke <id>', 'make it worthless at once, for good', async ([id = ''], _values, ask) => ({
    value: await ask('POST', `/credentials/${encodeURIComponent(id)}/revoke`),
  }))
}

function addCredentials(verb: Verb): void {
  const columns = ['id', 'kind', 'name', 'hint', 'consumer', 'scopes', 'state', 'expires', 'used', 'source']
  addCommon(verb, '/credentials', columns, command =>
    byConsumer(command).option('--kind <kind>', 'key, basic, signature or certificate'),
  )
  addRevoke(verb)
  verb(
    'create <consumer>',
    'create one: of --user, --key-id and --certificate exactly one',
    async ([consumer], values, ask) => ({
      value: await ask('POST', '/credentials', { consumer, ...proofBody(values), ...credentialBody(values) }),
    }),
    command =>
      credentialOptions(command)
        .option('--user <name>', 'a user name; the password is read from the first line of the standard input')
        .option('--key-id <id>', 'a key id of signatures, with --public-key')
        .option('--public-key <file>', 'PEM file of the public key')
        .option('--algorithm <name>', 'of an RSA key: rsa-pss-sha512, or else rsa-v1_5-sha256')
        .option('--certificate <name>', 'a fingerprint, or a name such as dns:client.acme.test'),
  )
}

function proofBody({ user, keyId, publicKey, algorithm, certificate }: Values): object {
  if ([user, keyId, certificate].filter(value => value !== undefined).length !== 1) {
    throw new Error('a credential is one of --user NAME, --key-id ID with --public-key FILE, and --certificate NAME')
  }
  return {
    ...(user !== undefined && { basic: { user, password: readFileSync(0, 'utf8').split(/\r?\n/, 1)[0] } }),
    ...(keyId !== undefined && {
      signature: {
        keyId,
        publicKey: publicKeyIn(publicKey),
        ...(algorithm !== undefined && { algorithm }),
      },
    }),
    ...(certificate !== undefined && { certificate }),
  }
}

function publicKeyIn(file: unknown): string {
  if (typeof file !== 'string') throw new Error('--key-id needs the public key: --public-key FILE')
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const reason = isMissing ? 'there is no such file' : (error as Error).message
    throw new Error(`the public key ${file} cannot be read: ${reason}`, { cause: error })
  }
}

const planLimits = (command: Command) => command.option('--limit <name=rate...>', 'such as calls=1000/minute')
const planBody = ({ limit }: Values) => ({ limits: limit === undefined ? {} : pairsOf(limit, '--limit') })

function addPlans(verb: Verb): void {
  addCommon(verb, '/plans', ['name', 'limits'], noFilter)
  verb(
    'create <name>',
    'create one',
    async ([name], values, ask) => ({ value: await ask('POST', '/plans', { name, ...planBody(values) }) }),
    planLimits,
  )
  verb(
    'update <name>',
    'put other limits in the place of its limits',
    async ([name = ''], values, ask) => ({
      value: await ask('PATCH', `/plans/${encodeURIComponent(name)}`, planBody(values)),
    }),
    planLimits,
  )
}

const purgeKinds = ['url', 'prefix', 'tag', 'route', 'all'] as const

function addCache(verb: Verb): void {
  verb(
    'purge',
    'take kept replies out on every worker, by exactly one option; prints how many there were',
    async (_words, values, ask) => {
      const given = purgeKinds.filter(kind => values[kind] !== undefined)
      const [kind] = given
      if (kind === undefined || given.length > 1) {
        throw new Error('say what to purge by one of --url URL, --prefix URL, --tag TAG, --route NAME and --all')
      }
      return { value: await ask('POST', '/cache/purge', { [kind]: values[kind] }) }
    },
    command =>
      command
        .option('--url <url>', 'of one resource, all its forms; without a host it is meant on each')
        .option('--prefix <url>', 'of all whose path begins so')
        .option('--tag <tag>', 'of all that have it in Cache-Tag or Surrogate-Key')
        .option('--route <name>', 'of one route')
        .option('--all', 'of everything'),
  )
}

function addDenials(verb: Verb): void {
  verb(
    'list [list]',
    'list the lists, or what is on one',
    async ([list], values, ask) => {
      if (list === undefined || list === 'undefined')
        return { value: await ask('GET', '/denials'), columns: ['list', 'count'] }
      const value = await ask('GET', `/denials/${encodeURIComponent(list)}${query(values, ['limit', 'after'])}`)
      return { value, columns: ['value', 'note', 'created'] }
    },
    paged,
  )
  verb(
    'add <list> <value>',
    'turn it away from now on, such as: add address 192.0.2.0/24',
    async ([list = '', value], { note }, ask) => ({
      value: await ask('POST', `/denials/${encodeURIComponent(list)}`, { value, ...(note !== undefined && { note }) }),
    }),
    command => command.option('--note <text>', 'why'),
  )
  verb('remove <list> <value>', 'turn it away no longer', async ([list = '', value = ''], _values, ask) => ({
    value: await ask('DELETE', `/denials/${encodeURIComponent(list)}/${encodeURIComponent(value)}`),
  }))
}
