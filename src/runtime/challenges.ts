// Answers ACME challenges before any route sees them: they come to every name, whatever its routes do with strangers.

import type { Call } from '../core/call.ts'
import { Reply } from '../core/reply.ts'
import type { Step } from '../core/step.ts'

const folder = '/.well-known/acme-challenge/'

/** RFC 8555 §8.3. `answers` has what is to be said by token; a token that is not there goes the way of any other call. */
export function answerChallenges(answers: () => ReadonlyMap<string, string>, next: Step): Step {
  return function answerChallenges(call: Call) {
    if (!call.path.startsWith(folder)) return next(call)
    const answer = answers().get(call.path.slice(folder.length))
    if (answer === undefined || (call.method !== 'GET' && call.method !== 'HEAD')) return next(call)
    call.route = 'acme-challenge'
    return Promise.resolve(Reply.text(200, answer, 'application/octet-stream'))
  }
}
