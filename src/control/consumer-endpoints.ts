// The endpoints of consumers, applications, plans and lists of denials.

import { isIP } from 'node:net'
import { consumerName, groupsSchema, labelsSchema, limitsSchema, planSchema } from '../core/consumer-schema.ts'
import type { ConsumerStore } from '../core/consumers.ts'
import { Fields, type TSchema, Type } from '../core/schema.ts'
import { readBody, refuseMember } from './body.ts'
import { iso, pageOf, shownConsumer, shownPage } from './credential-view.ts'
import { type AdminRequest, type Answer, type Endpoint, json, problem } from './endpoint.ts'

const name = consumerName('Letters, digits, `-`, `_`, `.` and `@`; at most 128.')
const planName = Type.String({ pattern: '^[A-Za-z0-9_.@-]{0,128}$', description: 'Name of a plan; empty for none.' })

const consumerFields = {
  groups: groupsSchema,
  labels: labelsSchema,
  plan: { ...planName, default: '' } as typeof planName,
  limits: limitsSchema,
}
const consumerBody = Fields({ name, ...consumerFields })
const consumerPatch = Fields({
  name: Type.Optional(name),
  groups: Type.Optional(plain(groupsSchema)),
  labels: Type.Optional(plain(labelsSchema)),
  plan: Type.Optional(planName),
  limits: Type.Optional(plain(limitsSchema)),
})
const appName = Type.String({
  pattern: '^[^\\u0000-\\u001f\\u007f]{1,128}$',
  description: 'A text of at most 128 characters.',
})
const appBody = Fields({ consumer: Type.String({ minLength: 1 }), name: appName, labels: labelsSchema })
const appPatch = Fields({ name: Type.Optional(appName), labels: Type.Optional(plain(labelsSchema)) })
const planBody = Fields({ name, limits: limitsSchema })
const denialBody = Fields({
  value: Type.String({
    pattern: '^[^\\u0000-\\u001f\\u007f]{1,512}$',
    description: 'A text of at most 512 characters.',
  }),
  note: Type.String({ default: '', maxLength: 512 }),
})

/** A patch has no defaults: what is not written stays as it was. */
function plain<T extends TSchema>(schema: T): T {
  const { default: _, ...rest } = schema as T & { default?: unknown }
  return rest as unknown as T
}

type Run = (request: AdminRequest, store: ConsumerStore) => Promise<Answer>

function managed(method: Endpoint['method'], path: RegExp, run: Run): Endpoint {
  return { method, path, isManagement: true, answer: (request, _view, { store }) => run(request, store) }
}

const one = '([^/]{1,700})'
const at = (path: string) => new RegExp(`^${path.replaceAll('*', one)}$`)

export const consumerEndpoints: readonly Endpoint[] = [
  managed('GET', at('/consumers'), async ({ query }, store) =>
    json(200, shownPage(await store.consumers(pageOf(query)), shownConsumer)),
  ),
  managed('POST', at('/consumers'), async ({ body }, store) =>
    json(201, shownConsumer(await store.createConsumer(readBody(body, consumerBody)))),
  ),
  managed('GET', at('/consumers/*'), async ({ parameters: [key = ''] }, store) => {
    const consumer = await store.consumer(key)
    return consumer === null ? unknown('consumer', key) : json(200, shownConsumer(consumer))
  }),
  managed('PATCH', at('/consumers/*'), async ({ parameters: [key = ''], body }, store) =>
    json(200, shownConsumer(await store.updateConsumer(key, readBody(body, consumerPatch)))),
  ),
  managed('DELETE', at('/consumers/*'), async ({ parameters: [key = ''] }, store) => {
    await store.removeConsumer(key)
    return json(200, { removed: key })
  }),
  managed('GET', at('/apps'), async ({ query }, store) =>
    json(200, await store.applications(query.get('consumer') ?? '', pageOf(query))),
  ),
  managed('POST', at('/apps'), async ({ body }, store) =>
    json(201, await store.createApplication(readBody(body, appBody))),
  ),
  managed('GET', at('/apps/*'), async ({ parameters: [id = ''] }, store) => {
    const application = await store.application(id)
    return application === null ? unknown('application', id) : json(200, application)
  }),
  managed('PATCH', at('/apps/*'), async ({ parameters: [id = ''], body }, store) =>
    json(200, await store.updateApplication(id, readBody(body, appPatch))),
  ),
  managed('DELETE', at('/apps/*'), async ({ parameters: [id = ''] }, store) => {
    await store.removeApplication(id)
    return json(200, { removed: id })
  }),
  managed('GET', at('/plans'), async (_request, store) => json(200, { items: await store.plans(), next: null })),
  managed('POST', at('/plans'), async ({ body }, store) => json(201, await store.createPlan(readBody(body, planBody)))),
  managed('GET', at('/plans/*'), async ({ parameters: [key = ''] }, store) => {
    const plan = (await store.plans()).find(({ name: known }) => known === key)
    return plan === undefined ? unknown('plan', key) : json(200, plan)
  }),
  managed('PATCH', at('/plans/*'), async ({ parameters: [key = ''], body }, store) =>
    json(200, await store.updatePlan({ name: key, ...readBody(body, planSchema) })),
  ),
  managed('DELETE', at('/plans/*'), async ({ parameters: [key = ''] }, store) => {
    await store.removePlan(key)
    return json(200, { removed: key })
  }),
  managed('GET', at('/denials'), async (_request, store) =>
    json(200, { items: await store.denialLists(), next: null }),
  ),
  managed('GET', at('/denials/*'), async ({ parameters: [list = ''], query }, store) =>
    json(
      200,
      shownPage(await store.denials(list, pageOf(query)), ({ createdMs, ...denial }) => ({
        ...denial,
        created: iso(createdMs),
      })),
    ),
  ),
  managed('POST', at('/denials/*'), async ({ parameters: [list = ''], body }, store) => {
    const { value, note } = readBody(body, denialBody)
    refuseDenial(list, value)
    await store.deny(list, value, note)
    return json(201, { list, value, note })
  }),
  managed('DELETE', at('/denials/*/*'), async ({ parameters: [list = '', value = ''] }, store) => {
    await store.allow(list, value)
    return json(200, { removed: value })
  }),
]

function unknown(what: string, key: string): Answer {
  return problem(404, `there is no ${what} \`${key}\``)
}

function refuseDenial(list: string, value: string): void {
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(list)) {
    refuseMember('list', `\`${list}\` cannot be the name of a list`, 'Write letters, digits, `-`, `_` and `.`.')
  }
  if (list !== 'address') return
  const [address = '', bits, ...more] = value.split('/')
  const family = isIP(address)
  const areBitsFine = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
  if (family !== 0 && areBitsFine && more.length === 0 && !address.includes('%')) return
  refuseMember('value', `\`${value}\` is no address`, 'Write an address or CIDR, such as `192.0.2.7` or `10.0.0.0/8`.')
}
