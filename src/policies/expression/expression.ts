// The policy `expression`: lets calls pass for which an expression comes to true.

import { definePolicy } from '../../core/policy.ts'
import { principal } from '../../core/principal.ts'
import { Fields, Shorthand, Type } from '../../core/schema.ts'
import { refuseForbidden } from '../../identity/refuse.ts'
import { compileExpression } from './cel.ts'

export const expression = definePolicy({
  name: 'expression',
  summary: 'Lets calls pass for which a CEL expression is true.',
  admits: true,
  options: Shorthand(
    'allow',
    Fields({
      allow: Type.String({
        minLength: 1,
        description: 'An expression of the Common Expression Language that comes to true or false.',
        examples: ['principal.claims.tenant == params.tenant'],
      }),
    }),
  ),
  needsFor: ({ allow }) => (compileExpression(allow, ['allow']).needsPrincipal ? [principal] : []),
  check: ({ allow }) => void compileExpression(allow, ['allow']),
  build({ allow }, { clock }) {
    const compiled = compileExpression(allow)
    return next =>
      function expression(call) {
        let outcome: unknown
        try {
          outcome = compiled.evaluate(call, clock.wall())
        } catch (error) {
          const reason = (error as Error).message.split('\n', 1)[0] ?? ''
          return Promise.resolve(refuseForbidden(call, `expression: ${reason}`))
        }
        // Anything but true, however much it looks like it, is no.
        if (outcome === true) return next(call)
        return Promise.resolve(refuseForbidden(call, 'expression: it is not true of this call'))
      }
  },
})
