// Which replies are worth compressing, by their media type.

/** Text and its kin. Images, video, fonts in WOFF and archives are compressed already. */
export const textualTypes: readonly string[] = [
  'text/*',
  '*+json',
  '*+xml',
  '*+text',
  'application/json',
  'application/javascript',
  'application/x-javascript',
  'application/ecmascript',
  'application/xml',
  'application/xhtml+xml',
  'application/x-ndjson',
  'application/jsonl',
  'application/graphql',
  'application/yaml',
  'application/toml',
  'application/sql',
  'application/wasm',
  'application/x-www-form-urlencoded',
  'application/vnd.ms-fontobject',
  'application/rtf',
  'font/ttf',
  'font/otf',
  'font/collection',
  'image/svg+xml',
  'image/bmp',
  'image/x-icon',
  'image/vnd.microsoft.icon',
]

/** What an item of the list may be: `type/subtype`, `type/*` or `*+suffix`. */
export const typePattern: RegExp = /^(?:[a-z0-9!#$&^_.+-]+\/(?:\*|[a-z0-9!#$&^_.+-]+)|\*\+[a-z0-9!#$&^_.-]+)$/

/** The judge remembers what it said of a field; there are few different ones, and no more than this are kept. */
const rememberedMax = 256

/** Makes the judge of a Content-Type field. */
export function compileTypes(types: readonly string[]): (field: string) => boolean {
  const exact = new Set(types)
  const known = new Map<string, boolean>()
  const judge = (field: string): boolean => {
    const type = (field.split(';', 1)[0] ?? '').trim().toLowerCase()
    // gRPC compresses its messages one by one, and counts on their frames.
    if (type.startsWith('application/grpc')) return false
    if (exact.has(type)) return true
    const suffix = type.lastIndexOf('+')
    return exact.has(`${type.split('/', 1)[0]}/*`) || (suffix > 0 && exact.has(`*${type.slice(suffix)}`))
  }
  return field => {
    let isFitting = known.get(field)
    if (isFitting === undefined) {
      isFitting = judge(field)
      if (known.size < rememberedMax) known.set(field, isFitting)
    }
    return isFitting
  }
}
