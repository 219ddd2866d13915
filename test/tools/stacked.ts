// One policy alone in a stack, as the runtime puts it there: with the fields guarded that it owns.

import type { Place, PolicyDefinition, PolicyPorts } from '../../src/core/policy.ts'
import type { Static, TSchema } from '../../src/core/schema.ts'
import type { Step } from '../../src/core/step.ts'
import { stackPolicies } from '../../src/runtime/stack.ts'

export function stacked<S extends TSchema>(
  definition: PolicyDefinition<S>,
  options: Static<S>,
  ports: PolicyPorts,
  place: Place,
  next: Step,
): Step {
  const layer = definition.build(options, ports, place)
  const { clearsOwned = false } = definition
  return stackPolicies([{ layer, owns: definition.owns?.(options) ?? [], clearsOwned, fits: null }], next)
}
