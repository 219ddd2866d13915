// What may be written about a login, and what of it cannot work.

import { OptionsError } from '../../core/policy.ts'
import { Choice, Duration, Fields, Maybe, OneOrMany, type Static, Secret, Type } from '../../core/schema.ts'
import { forwardOption } from '../../identity/forward-fields.ts'
import { consumerOption } from '../../identity/token-principal.ts'

export const options = Fields({
  issuer: Type.String({
    description: 'The identity provider, exactly as it names itself; found by OpenID Connect Discovery.',
  }),
  clientId: Type.String({ minLength: 1, description: 'What the provider calls this gateway.' }),
  clientSecret: Maybe(Secret({ minLength: 1, description: 'What the gateway proves itself with to the provider.' })),
  clientAuthentication: Choice(['basic', 'post', 'none'], {
    default: 'basic',
    description: 'How the secret is sent: `client_secret_basic`, `client_secret_post`, or not at all (PKCE alone).',
  }),
  secret: OneOrMany(Secret({ minLength: 32 }), {
    minItems: 1,
    description:
      'What cookies are encrypted with, 32 characters at least. The first one encrypts, all of them decrypt: put a new one in front.',
  }),
  externalUrl: Maybe(
    Type.String({ description: 'Scheme and host that browsers see, such as `https://shop.acme.test`.' }),
  ),
  hosts: OneOrMany(Type.String(), {
    default: [],
    description: 'Without `externalUrl`: hosts, with port where it is not the usual one, that may be logged in to.',
  }),
  scopes: OneOrMany(Type.String(), {
    default: ['openid'],
    description: 'What is asked for; `openid` is always among them.',
  }),
  callbackPath: Type.String({ default: '/oidc/callback', description: 'Where the provider sends browsers back to.' }),
  logoutPath: Type.String({ default: '/oidc/logout', description: 'What ends the session, here and at the provider.' }),
  afterLogout: OneOrMany(Type.String(), {
    default: ['/'],
    minItems: 1,
    description: 'Paths or URLs to go to after a logout: the first one, or another of them that `?to=` names.',
  }),
  cookie: Type.String({
    default: 'session',
    description: 'Name of the session cookie; `__Host-` is put before it on HTTPS.',
  }),
  lifetime: Duration({ default: '12h', description: 'After this time everybody has to log in again.' }),
  idle: Duration({ default: '1h', description: 'After this time without a call one has to log in again.' }),
  loginTime: Duration({ default: '10m', description: 'How long a login may take.' }),
  refreshBefore: Duration({
    default: '1m',
    description: 'How long before its end an access token is refreshed; at half of its life where that is later.',
  }),
  clockSkew: Duration({ default: '30s', description: 'How far the clock of the provider may be off.' }),
  timeout: Duration({ default: '5s', description: 'How long one request to the provider may take.' }),
  consumer: consumerOption,
  forwardAccessToken: Type.Boolean({
    default: false,
    description: 'Sends the access token on as `Authorization: Bearer`.',
  }),
  forward: forwardOption,
})

export type Options = Static<typeof options>

export function check(given: Options): void {
  checkIssuer(given.issuer)
  const { clientAuthentication, clientSecret, externalUrl, hosts } = given
  if ((clientAuthentication === 'none') !== (clientSecret === null)) {
    const hint = 'Write `clientSecret`, or `clientAuthentication: none`, not both.'
    throw new OptionsError('the gateway must prove itself with a secret, or without one', ['clientSecret'], hint)
  }
  if (externalUrl === null && hosts.length === 0) {
    const hint = 'Write `externalUrl: https://shop.acme.test`, or list `hosts`.'
    throw new OptionsError('where browsers come back to cannot be told', ['externalUrl'], hint)
  }
  if (externalUrl !== null && (URL.parse(externalUrl)?.origin !== externalUrl || !/^https?:/.test(externalUrl))) {
    throw new OptionsError('`externalUrl` is not scheme and host alone', ['externalUrl'], 'Write it without a path.')
  }
  for (const [index, host] of hosts.entries()) {
    if (URL.parse(`https://${host}`)?.host === host || URL.parse(`http://${host}`)?.host === host) continue
    throw new OptionsError(
      `\`${host}\` is no host`,
      ['hosts', index],
      'Write it in lower case, such as `shop.acme.test`.',
    )
  }
  for (const key of ['callbackPath', 'logoutPath'] as const) {
    if (/^\/[\w\-./~]*$/.test(given[key]) && !given[key].startsWith('//')) continue
    throw new OptionsError(`\`${given[key]}\` is no plain path`, [key], 'Write it such as `/oidc/callback`.')
  }
  if (given.callbackPath === given.logoutPath) {
    throw new OptionsError('login and logout have one path', ['logoutPath'], 'Write two.')
  }
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(given.cookie)) {
    throw new OptionsError(`\`${given.cookie}\` is no name`, ['cookie'], 'Write letters, digits, `-` and `_`.')
  }
  for (const [index, target] of given.afterLogout.entries()) {
    if (/^\/(?![/\\])[!-~]*$/.test(target) || /^https?:$/.test(URL.parse(target)?.protocol ?? '')) continue
    throw new OptionsError(
      `\`${target}\` is neither path nor URL`,
      ['afterLogout', index],
      'Begin it with `/` or `https://`.',
    )
  }
}

/** OpenID Connect Core §2: https, without query and fragment. Plain HTTP is for providers on this machine. */
function checkIssuer(issuer: string): void {
  const url = URL.parse(issuer)
  const isLocal = url?.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)
  if (url !== null && (url.protocol === 'https:' || isLocal) && !/[?#@]/.test(issuer)) return
  throw new OptionsError(`\`${issuer}\` cannot be an issuer`, ['issuer'], 'It is an `https://` URL without query.')
}
