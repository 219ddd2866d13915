// Asks the admin API of a running gateway.

export interface AdminAccess {
  /** Such as `http://127.0.0.1:9080`. */
  readonly admin: string
  readonly token: string | undefined
}

/** What went wrong, for people: the gateway cannot be reached, or says no. */
export class AdminRefused extends Error {
  readonly isUnreachable: boolean

  constructor(message: string, isUnreachable = false) {
    super(message)
    this.isUnreachable = isUnreachable
  }
}

export type Answered = Readonly<Record<string, unknown>>

const answerMsMax = 10_000

/** Resolves with the JSON of the reply. Rejects with `AdminRefused`. */
export async function askAdmin(access: AdminAccess, method: string, path: string, body?: object): Promise<Answered> {
  const url = URL.parse(path, access.admin)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new AdminRefused(
      `\`${access.admin}\` is no address of an admin API. Write it like \`http://127.0.0.1:9080\`.`,
    )
  }
  const reply = await fetch(url, {
    method,
    redirect: 'error',
    signal: AbortSignal.timeout(answerMsMax),
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(access.token !== undefined && { authorization: `Bearer ${access.token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch((error: unknown) => {
    throw new AdminRefused(unreachable(access.admin, error), true)
  })
  const value = objectOf(await reply.text())
  if (reply.ok && value !== null) return value
  throw new AdminRefused(refusalText(reply.status, value, access))
}

function objectOf(text: string): Answered | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Answered) : null
  } catch {
    return null
  }
}

function unreachable(admin: string, error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: string } }
  const reason = name === 'TimeoutError' ? 'it did not answer in time' : (cause?.code ?? 'the connection failed')
  return `no gateway answers at ${admin} (${reason}). Does it run, with \`admin\` in its config? Say where with --admin URL or TURNPIKE_ADMIN.`
}

function refusalText(status: number, value: Answered | null, { admin, token }: AdminAccess): string {
  // Errors of a listener have a `code`, those of the admin API have none.
  if (value === null || 'code' in value) {
    return `${admin} answered ${status}, and not as an admin API does. Give the port of \`admin\` in the config, by --admin URL or TURNPIKE_ADMIN.`
  }
  if (status === 401) {
    return token === undefined
      ? 'the gateway asks for a token. Put that of `admin.token` into the environment variable TURNPIKE_ADMIN_TOKEN.'
      : 'the gateway does not take the token of TURNPIKE_ADMIN_TOKEN. It is not that of `admin.token`.'
  }
  const errors = Array.isArray(value['errors']) ? (value['errors'] as { message?: string; hint?: string }[]) : []
  const lines = errors.map(({ message = '', hint = '' }) => (hint === '' ? message : `${message}. ${hint}`))
  if (lines.length > 0) return lines.join('\n  ')
  return typeof value['detail'] === 'string' ? value['detail'] : `the gateway answered ${status}`
}
