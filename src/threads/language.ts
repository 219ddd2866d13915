// The policies and ends of this process: those that ship and those of extensions.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ends, policies } from '../builtin.ts'
import type { EndDefinition, PolicyDefinition } from '../core/policy.ts'

export interface Language {
  readonly policies: readonly PolicyDefinition[]
  readonly ends: readonly EndDefinition[]
}

/** Loads extension modules by URL: each exports `policies`, `ends` or both. Every thread loads them for itself. */
export async function loadLanguage(extensions: readonly string[]): Promise<Language> {
  const language = { policies: [...policies], ends: [...ends] }
  for (const url of extensions) {
    if (!existsSync(new URL(url))) throw new Error(`there is no extension ${fileURLToPath(url)}. Check the path.`)
    const module = (await import(url)) as Partial<Language>
    if (!Array.isArray(module.policies) && !Array.isArray(module.ends)) {
      throw new Error(`the extension ${url} exports neither a list \`policies\` nor a list \`ends\``)
    }
    language.policies.push(...(module.policies ?? []))
    language.ends.push(...(module.ends ?? []))
  }
  refuseDoubles(language)
  return language
}

/** The config could not tell them apart. */
function refuseDoubles(language: Language): void {
  const names = [...language.policies, ...language.ends].map(({ name }) => name)
  const double = names.find((name, index) => names.indexOf(name) !== index)
  if (double === undefined) return
  throw new Error(`there are two policies or ends named \`${double}\`. Give that of the extension another name.`)
}

/** Paths of extension modules, relative to the working directory, as URLs. */
export function extensionUrls(paths: readonly string[]): string[] {
  return paths.map(path => pathToFileURL(resolve(path)).href)
}
