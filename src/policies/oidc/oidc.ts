// The policy `oidc`: logs browsers in at an identity provider, and keeps their session in encrypted cookies.

import type { Call } from '../../core/call.ts'
import { definePolicy } from '../../core/policy.ts'
import { type Principal, principal } from '../../core/principal.ts'
import { Reply } from '../../core/reply.ts'
import { sparingWarning } from '../../core/sparing-warning.ts'
import type { Step } from '../../core/step.ts'
import { removeCookies } from '../../identity/cookies.ts'
import { compileForwardFields, ownedFields } from '../../identity/forward-fields.ts'
import { compileConsumer } from '../../identity/token-principal.ts'
import { createLogin, isLoginCookie, refuse, type Site } from './login.ts'
import { check, options, type Options } from './options.ts'
import { Provider } from './provider.ts'
import { chunkNames, createSeal } from './seal.ts'
import { Refreshes } from './refreshes.ts'
import { createSessions, type Session } from './session.ts'

export const oidc = definePolicy({
  name: 'oidc',
  summary: 'Logs browsers in at an OpenID Connect provider and keeps their session in encrypted cookies.',
  options,
  gives: [principal],
  owns: ownedFields,
  check,
  build(given, ports) {
    const key = JSON.stringify(given)
    const provider = ports.keep(`oidc/provider/${key}`, () => new Provider(given, ports))
    const refreshes = ports.keep(
      `oidc/refreshes/${given.issuer}/${given.clientId}`,
      () => new Refreshes(ports, given.issuer),
    )
    const seal = createSeal(given.secret, `${given.issuer} ${given.clientId}`)
    const sessions = createSessions(given, ports.clock, seal, provider, refreshes)
    const login = createLogin(given, ports, seal, provider, sessions)
    const fields = compileForwardFields(given.forward)
    const join = compileConsumer(given.consumer, ports.identities)
    const siteOf = compileSite(given)
    const warnOfSize = sparingWarning(ports, 'a session that grew does not fit into cookies any more')

    async function pass(call: Call, site: Site, session: Session, next: Step): Promise<Reply> {
      const current = await sessions.current(session)
      if (current === null) return isPageLoad(call) ? login.start(call, site) : refuse(call, 'the session is over')
      const proof = proofOf(current, given)
      const proven = join === null ? proof : await join(proof)
      if (proven === null) return refuse(call, 'the claim leads to no consumer')
      call.facts.set(principal, proven)
      fields.write(call, proven)
      if (given.forwardAccessToken) call.headers.set('Authorization', `Bearer ${current.tokens.access}`)
      removeOwnCookies(call, site)
      const reply = await next(call)
      if (sessions.isToBeWritten(session, current)) {
        const isWritten = sessions.write(reply.headers, current, site.cookie, site.isSecure)
        if (!isWritten) warnOfSize({ issuer: given.issuer })
      }
      return reply
    }

    return next =>
      function oidc(call: Call): Promise<Reply> {
        const site = siteOf(call)
        if (site === null) return Promise.resolve(refuse(call, 'the host is not among `hosts`'))
        if (call.path === given.callbackPath && call.method === 'GET') return login.finish(call, site)
        if (call.path === given.logoutPath) return Promise.resolve(leave(call, site))
        const session = sessions.read(call, site.cookie)
        if (session !== null) return pass(call, site, session, next)
        return isPageLoad(call) ? login.start(call, site) : Promise.resolve(refuse(call, 'no session'))
      }

    function leave(call: Call, site: Site): Reply {
      // No other site may log its visitors out.
      if (call.headers.get('sec-fetch-site') !== 'cross-site') return login.logout(call, site)
      call.refusal = 'logout from another site'
      return Reply.problem('forbidden')
    }
  },
})

/** Only a browser that loads a page can be sent away to log in; everything else is told. */
function isPageLoad(call: Call): boolean {
  if (call.method !== 'GET' || call.headers.has('x-requested-with')) return false
  const mode = call.headers.get('sec-fetch-mode')
  if (mode !== undefined && mode !== 'navigate') return false
  return call.headers.all('accept').some(value => /\btext\/html\b/i.test(value))
}

/** Null for a host that is none of ours: what a client claims never becomes part of a URL by itself. */
function compileSite({ externalUrl, hosts, cookie }: Options): (call: Call) => Site | null {
  const make = (origin: string): Site => {
    const isSecure = origin.startsWith('https:')
    return { origin, isSecure, cookie: isSecure ? `__Host-${cookie}` : cookie }
  }
  if (externalUrl !== null) {
    const site = make(externalUrl)
    return () => site
  }
  const http = new Map(hosts.map(host => [host, make(`http://${host}`)]))
  const https = new Map(hosts.map(host => [host, make(`https://${host}`)]))
  return call => {
    const host = call.headers.get('host')?.toLowerCase() ?? ''
    return (call.peer.scheme === 'https' ? https : http).get(host) ?? null
  }
}

/** The consumer is joined later, as it is at the time of the call. */
function proofOf({ claims, tokens }: Session, { issuer, scopes }: Options): Principal {
  const id = `${issuer}|${String(claims['sub'])}`
  const given = tokens.scopes ?? scopes
  return { method: 'oidc', id, consumer: null, application: null, credential: '', scopes: given, claims }
}

function removeOwnCookies(call: Call, site: Site): void {
  const own = chunkNames(site.cookie)
  removeCookies(call.headers, name => own.includes(name) || isLoginCookie(name, site))
}
