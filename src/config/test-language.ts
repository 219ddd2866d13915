// A small language for the tests of this folder: one definition for each thing that a definition can do.

import { defineFact } from '../core/facts.ts'
import { defineEnd, definePolicy, OptionsError } from '../core/policy.ts'
import { Reply } from '../core/reply.ts'
import { Duration, Fields, Maybe, OneOrMany, Policies, Rate, Shorthand, TemplateText, Type } from '../core/schema.ts'
import type { Language } from './language.ts'
import { resolve } from './resolve.ts'

const principal = defineFact<string>('principal')

const apiKey = definePolicy({
  name: 'api-key',
  summary: 'Asks for a key.',
  options: Fields({
    header: Type.String({ default: 'x-api-key', minLength: 1, description: 'Where the key stands.' }),
  }),
  gives: [principal],
  build: () => next => next,
})

const rateLimit = definePolicy({
  name: 'rate-limit',
  summary: 'Limits calls.',
  options: Fields({ limit: Rate(), burst: Maybe(Type.Union([Type.Integer({ minimum: 1 }), Type.Literal('none')])) }),
  needs: [principal],
  check({ limit }) {
    if (limit.count === 0) throw new OptionsError('a limit of nothing lets nobody in', ['limit'], 'Write 1 or more.')
  },
  build: () => next => next,
})

const tag = definePolicy({
  name: 'tag',
  summary: 'Tags calls.',
  options: Shorthand(
    'tags',
    Fields({ tags: OneOrMany(TemplateText(), { minItems: 1 }), after: Duration({ default: '1s', maximum: 60_000 }) }),
  ),
  build: () => next => next,
})

const anyOf = definePolicy({
  name: 'any-of',
  summary: 'Asks several.',
  options: Shorthand('policies', Fields({ policies: Policies({ giving: 'principal', minItems: 1 }) })),
  gives: [principal],
  build: () => next => next,
})

const reply = defineEnd({
  name: 'reply',
  summary: 'Answers.',
  options: Shorthand('body', Fields({ body: TemplateText(), note: Type.Optional(Type.String()) })),
  build: () => () => Promise.resolve(Reply.empty(200)),
})

const forward = defineEnd({
  name: 'forward',
  summary: 'Sends on.',
  options: Shorthand('to', Fields({ to: Type.String() })),
  upstreams: ({ to }) => [to],
  build: () => () => Promise.resolve(Reply.empty(200)),
})

export const language: Language = { policies: [apiKey, rateLimit, tag, anyOf], ends: [reply, forward] }

/** Resolves a text as the only source, with some variables set and no files. */
export function resolveText(text: string, files: Readonly<Record<string, string>> = {}) {
  return resolve({
    sources: [{ path: '/etc/turnpike/config.yaml', label: 'config.yaml', text }],
    language,
    surroundings: {
      env: { PORT: '8081', FLAG: 'true', EMPTY: '', SECRET: 's3cret{' },
      readText(path) {
        const content = files[path]
        if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
        return content
      },
    },
  })
}

/** The messages of a text that must be refused. */
export function messagesOf(text: string): string[] {
  const resolution = resolveText(text)
  return resolution.ok ? [] : resolution.problems.map(problem => problem.message)
}
