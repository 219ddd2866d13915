// `turnpike check`, `explain`, `schema` and `reference`: what can be said of a config without running it.

import { readConfig } from '../config/config.ts'
import { renderJsonSchema } from '../config/json-schema.ts'
import { formatProblems } from '../config/problem.ts'
import { renderReference } from '../config/reference.ts'
import type { Resolved } from '../config/resolve.ts'
import { checkBlueprint } from '../threads/check.ts'
import { extensionUrls, loadLanguage } from '../threads/language.ts'
import { ExitCode } from './exit-codes.ts'

export interface ConfigOptions {
  readonly extension: readonly string[]
}

/** Says what is wrong with a config, or that nothing is. */
export async function check(config: string, options: ConfigOptions): Promise<number> {
  const resolved = await readOrExplain(config, options)
  if (resolved === null) return ExitCode.config
  const { routes, upstreams, listeners } = resolved.blueprint
  const counts = [
    counted(routes.length, 'route'),
    counted(Object.keys(upstreams).length, 'upstream'),
    counted(listeners.length, 'listener'),
  ]
  process.stdout.write(`${config} is good: ${counts.join(', ')}\n`)
  return ExitCode.ok
}

/** Prints the blueprint: the config with nothing implicit left in it. */
export async function explain(config: string, options: ConfigOptions): Promise<number> {
  const resolved = await readOrExplain(config, options)
  if (resolved === null) return ExitCode.config
  process.stdout.write(`${JSON.stringify(resolved.shown, null, 2)}\n`)
  return ExitCode.ok
}

/** Prints the JSON Schema of the config language. */
export async function schema(options: ConfigOptions): Promise<number> {
  const language = await loadLanguage(extensionUrls(options.extension))
  process.stdout.write(`${JSON.stringify(renderJsonSchema(language), null, 2)}\n`)
  return ExitCode.ok
}

/** Prints the reference page of the config language, in Markdown. */
export async function reference(options: ConfigOptions): Promise<number> {
  const language = await loadLanguage(extensionUrls(options.extension))
  process.stdout.write(renderReference(language))
  return ExitCode.ok
}

async function readOrExplain(config: string, { extension }: ConfigOptions): Promise<Resolved | null> {
  const language = await loadLanguage(extensionUrls(extension))
  const resolution = await readConfig(config, { language, extraChecks: checkBlueprint, env: process.env })
  if (resolution.ok) return resolution
  const count = resolution.problems.length
  const text = formatProblems(resolution.problems, { color: process.stderr.isTTY })
  process.stderr.write(`${text}\n${counted(count, 'mistake')} in the config.\n`)
  return null
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
