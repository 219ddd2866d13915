// The policy `external`: an outside service says whether a call may pass.

import type { Call } from '../../core/call.ts'
import { compileDrop } from '../../core/drop-fields.ts'
import { wholeBody } from '../../core/held-body.ts'
import { definePolicy, type Place, type PolicyPorts } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import type { Step } from '../../core/step.ts'
import { admit, type Answer, denialOf } from './answer.ts'
import { createAsker } from './ask.ts'
import { editFields } from './edits.ts'
import { grpcService } from './grpc-service.ts'
import { httpService } from './http-service.ts'
import { checkOptions, type ExternalOptions, isGrpc, options, usualReply, usualSend } from './options.ts'
import { remembering } from './remember.ts'

/** Tells the upstream that nobody was asked. */
const uncheckedField = 'x-access-unchecked'

/** Of an answer. */
const bytesMax = 65_536

export const external = definePolicy({
  name: 'external',
  summary: 'Asks an outside service whether a call may pass.',
  admits: true,
  options,
  owns: ownedBy,
  // The service is told what the client sent.
  clearsOwned: true,
  check: checkOptions,
  build(given, ports, place) {
    const drop = compileDrop(ownedBy(given))
    const passed = ports.meter.counter('turnpike_external_unchecked', { http_route: place.route })
    const ask = compileAsk(given, ports, place)
    const decide = async (call: Call, answer: Answer | null, next: Step): Promise<Reply> => {
      if (answer === null) {
        if (given.onFailure === 'closed') return Reply.problem('access-unavailable')
        passed.add(1)
        drop(call)
        call.headers.add(uncheckedField, '1')
        return next(call)
      }
      if (!answer.passes) return denialOf(call, answer)
      admit(call, answer, drop)
      const reply = await next(call)
      editFields(reply.headers, answer.replyFields)
      return reply
    }
    return next =>
      function external(call) {
        return ask(call).then(answer => decide(call, answer, next))
      }
  },
})

function ownedBy({ upstreamHeaders }: ExternalOptions): readonly string[] {
  return [...upstreamHeaders, uncheckedField]
}

/** Null where the service gives no proper answer. */
function compileAsk(given: ExternalOptions, ports: PolicyPorts, place: Place): (call: Call) => Promise<Answer | null> {
  const overGrpc = isGrpc(given)
  const send = given.send ?? usualSend
  const put = overGrpc
    ? grpcService(given, ports, bytesMax)
    : httpService({ ...given, send, replyHeaders: given.replyHeaders ?? usualReply }, ports.outside, bytesMax)
  const asker = createAsker(put, ports, place)
  const askPlain = (call: Call) => asker(call, null)
  const { cache, body: bodyOptions } = given
  if (cache !== null) {
    const full = ports.meter.counter('turnpike_ceiling_hits', { ceiling: 'external-answers', name: place.route })
    return remembering(askPlain, { ...cache, send, byCaller: overGrpc }, ports.clock, () => full.add(1))
  }
  if (bodyOptions === null) return askPlain
  return async call => {
    if (call.body.isEmpty) return askPlain(call)
    const { bytes, body } = await wholeBody(call.body, bodyOptions.max)
    call.body = body
    return asker(call, bytes)
  }
}
