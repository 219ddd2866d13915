// The policy `body-guard`: reads JSON and XML bodies before anybody behind does, and refuses those that could hurt a parser.

import { isUtf8 } from 'node:buffer'
import type { Call } from '../../core/call.ts'
import { wholeBody } from '../../core/held-body.ts'
import { definePolicy } from '../../core/policy.ts'
import { Reply } from '../../core/reply.ts'
import { Choice, Fields, Size, Type } from '../../core/schema.ts'
import { scanJson } from './json.ts'
import { scanXml } from './xml.ts'

const count = (value: number, description: string) => Type.Integer({ minimum: 1, default: value, description })

const options = Fields({
  max: Size({ default: '1MB', description: 'The largest JSON or XML body; it is held in memory whole.' }),
  json: Fields(
    {
      depth: count(32, 'Objects and arrays inside each other.'),
      keys: count(1_000, 'Members of one object.'),
      items: count(10_000, 'Items of one array.'),
      stringBytes: count(100_000, 'Bytes of one string or name.'),
    },
    { default: {}, description: 'Bounds of JSON bodies.' },
  ),
  xml: Fields(
    {
      depth: count(32, 'Elements inside each other.'),
      attributes: count(50, 'Attributes of one element.'),
      elements: count(10_000, 'Elements in all.'),
    },
    { default: {}, description: 'Bounds of XML bodies.' },
  ),
  others: Choice(['allow', 'deny'], {
    default: 'deny',
    description: 'What happens to bodies that are neither JSON nor XML by their Content-Type, or have none.',
  }),
})

export const bodyGuard = definePolicy({
  name: 'body-guard',
  summary: 'Refuses JSON and XML bodies that are malformed or too complex.',
  options,
  build({ max, json, xml, others }) {
    const scan = (kind: 'json' | 'xml', bytes: Buffer): string => {
      if (!isUtf8(bytes)) return 'not UTF-8'
      return kind === 'json' ? scanJson(bytes, json) : scanXml(bytes.toString('utf8'), xml)
    }
    return next =>
      async function bodyGuard(call) {
        if (call.body.isEmpty) return next(call)
        const kind = kindOf(call)
        if (kind === 'other' && others === 'allow') return next(call)
        if (kind === 'other' || kind === 'unclear' || isEncoded(call)) return Reply.problem('media-type-refused')
        if (call.body.length > max) return Reply.problem('body-too-large')
        const { bytes, body } = await wholeBody(call.body, max)
        call.body = body
        const problem = scan(kind, bytes)
        if (problem !== '') {
          call.refusal = problem
          return Reply.problem('body-refused')
        }
        return next(call)
      }
  },
})

/** `unclear`: two readers could disagree about whether it is JSON or XML. */
type Kind = 'json' | 'xml' | 'other' | 'unclear'

/** A field that is there twice, lists several types or is malformed is none that we could judge; nor is another character set. */
function kindOf({ headers }: Call): Kind {
  const [whole = '', ...more] = headers.all('content-type')
  if (whole === '' && more.length === 0) return 'other'
  const [written = '', ...parameters] = whole.toLowerCase().split(';')
  const type = written.trim()
  if (more.length > 0 || isList(whole) || !/^[^/\s"]+\/[^/\s"]+$/.test(type)) return 'unclear'
  const kind = /\/(?:.*\+)?json$/.test(type) ? 'json' : /\/(?:.*\+)?xml$/.test(type) ? 'xml' : 'other'
  const charset = parameters.find(text => text.trim().startsWith('charset'))
  if (kind === 'other' || charset === undefined) return kind
  return /^charset="?(utf-8|us-ascii)"?$/.test(charset.trim()) ? kind : 'unclear'
}

/** Whether there is a comma outside of quoted strings, or one of these does not end. */
function isList(field: string): boolean {
  let isQuoted = false
  for (let at = 0; at < field.length; at++) {
    if (field[at] === '"') isQuoted = !isQuoted
    else if (field[at] === '\\' && isQuoted) at++
    else if (field[at] === ',' && !isQuoted) return true
  }
  return isQuoted
}

function isEncoded({ headers }: Call): boolean {
  return headers.all('content-encoding').some(coding => coding.trim().toLowerCase() !== 'identity')
}
