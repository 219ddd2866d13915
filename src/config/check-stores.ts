// What a schema cannot say about stores: how they are reached, and that those which limits name exist.

import type { Found } from './found.ts'
import { headSpan, partOf, partsOf, textOf } from './found-read.ts'
import type { Finding } from './problem.ts'
import { suggest } from './suggest.ts'

/** `config` is as the user arranged it; it may be broken in parts. */
export function checkStores(config: Found, findings: Finding[]): void {
  const stores = partOf(config, 'stores')
  for (const [name, store] of stores?.children ?? []) checkStore(String(name), store, findings)
  const names = [...(stores?.children?.keys() ?? [])].map(String)
  const policies = [config, ...partsOf(partOf(config, 'routes'))].flatMap(at => partsOf(partOf(at, 'policies')))
  for (const policy of policies) checkNames(partOf(policy, 'options'), names, findings)
}

function checkStore(name: string, store: Found, findings: Finding[]): void {
  const url = textOf(partOf(store, 'url'))
  const sentinels = partsOf(partOf(store, 'sentinels'))
  const say = (message: string, hint: string, at: Found | null) =>
    findings.push({ message, hint, span: headSpan(at ?? store) })
  if (store.isBroken) return
  if ((url === null) === (sentinels.length === 0)) {
    say(`the store \`${name}\` needs either \`url\` or \`sentinels\``, urlHint, store)
  }
  // The URL may hold a password: it is not repeated.
  if (url !== null && (URL.parse(url)?.password ?? '') !== '') {
    say(`a password stands in the \`url\` of the store \`${name}\``, passwordHint, partOf(store, 'url'))
  } else if (url !== null && !isStoreUrl(url)) {
    say(`the \`url\` of the store \`${name}\` is none of a store`, urlHint, partOf(store, 'url'))
  }
  checkTls(name, url, partOf(store, 'tls'), say)
  if (sentinels.length > 0 && textOf(partOf(store, 'master')) === null) {
    say(`the store \`${name}\` names sentinels but no \`master\``, 'Write `master` as the sentinels call it.', store)
  }
  for (const sentinel of sentinels) {
    const text = textOf(sentinel)
    if (text === null || /^(\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]+)(:\d{1,5})?$/.test(text)) continue
    say('a sentinel is written `host:port`', 'Such as `10.0.0.5:26379`.', sentinel)
  }
}

function checkTls(
  name: string,
  url: string | null,
  tls: Found | null,
  say: (message: string, hint: string, at: Found | null) => void,
): void {
  if (tls === null || tls.children === null) return
  if (url?.startsWith('redis:') === true) {
    say(`the store \`${name}\` has \`tls\` but its \`url\` is one without`, 'Write `url: rediss://…`.', tls)
  }
  const hasCert = textOf(partOf(tls, 'cert')) !== null
  if (hasCert !== (textOf(partOf(tls, 'key')) !== null)) {
    say(`the store \`${name}\` needs \`cert\` and \`key\` together`, 'Write both, or none.', tls)
  }
}

const urlHint = 'Such as `url: redis://10.0.0.5:6379`, or `sentinels: ["10.0.0.5:26379"]` with `master`.'
const passwordHint = 'Take it out, and write `password: "${env:NAME}"` beside `url`.'

function isStoreUrl(text: string): boolean {
  try {
    const { protocol, hostname, pathname, search, hash } = new URL(text)
    return /^rediss?:$/.test(protocol) && hostname !== '' && /^(\/\d*)?$/.test(pathname) && search + hash === ''
  } catch {
    return false
  }
}

/** Options called `store` name one, wherever they stand. */
function checkNames(found: Found | null, names: readonly string[], findings: Finding[]): void {
  for (const [key, part] of found?.children ?? []) {
    const name = key === 'store' ? textOf(part) : null
    if (name === null) checkNames(part, names, findings)
    else if (!names.includes(name)) {
      const hint =
        names.length === 0
          ? `Define it: \`stores: { ${name}: { url: redis://… } }\`.`
          : suggest(name, names, 'Known stores')
      findings.push({ message: `there is no store \`${name}\``, hint, span: headSpan(part) })
    }
  }
}
