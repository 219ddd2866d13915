// The policy `bot`: turns away callers by what they call themselves.

import { definePolicy, OptionsError } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Fields, OneOrMany, type Static, Type } from '../../core/schema.ts'
import { knownBad } from './known-bad.ts'
import { compileWildcard } from './wildcard.ts'

const patterns = (description: string) => OneOrMany(Type.String({ minLength: 1 }), { default: [], description })

const options = Fields({
  allow: patterns('User agents that always pass. A plain text may stand anywhere, one with `*` matches the whole.'),
  deny: patterns('User agents that are turned away, written likewise.'),
  known: Type.Boolean({ default: true, description: 'Turn away scanners and attack tools that are known by name.' }),
  empty: Choice(['allow', 'deny'], { default: 'allow', description: 'What happens to calls without a User-Agent.' }),
  mode: Choice(['enforce', 'report'], {
    default: 'enforce',
    description: '`report` lets all pass and notes in the access log which would have been turned away.',
  }),
})

export const bot = definePolicy({
  name: 'bot',
  summary: 'Turns away callers by their user agent.',
  options,
  check,
  build({ allow, deny, known, empty, mode }) {
    const allowed = allow.map(compileWildcard)
    const denied = [...deny, ...(known ? knownBad : [])].map(text => ({ text, matches: compileWildcard(text) }))
    const verdict = (agent: string): string => {
      if (agent.trim() === '') return empty === 'deny' ? 'no user agent' : ''
      const lower = agent.toLowerCase()
      if (allowed.some(matches => matches(lower))) return ''
      const found = denied.find(({ matches }) => matches(lower))
      return found === undefined ? '' : `user agent: ${found.text}`
    }
    return next =>
      function bot(call) {
        const reason = verdict(call.headers.all('user-agent').join(' '))
        if (reason === '') return next(call)
        call.refusal = mode === 'report' ? `would be refused: ${reason}` : reason
        return mode === 'report' ? next(call) : Promise.resolve(Reply.problem('bot-denied'))
      }
  },
})

function check(given: Static<typeof options>): void {
  for (const key of ['allow', 'deny'] as const) {
    for (const [index, text] of given[key].entries()) {
      if (text.replaceAll('*', '').trim() !== '') continue
      throw new OptionsError(`\`${text}\` matches everything`, [key, index], 'Write a part of the name.')
    }
  }
}
