// The static table of HPACK (RFC 7541 appendix A).

import { type FieldName, fieldNameOf } from './field-names.ts'

/** Index of the last entry; the first is 1. */
export const staticEntries = 61

const text = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`

const lines = ['', ...text.split('\n')]

/** By index; index 0 stands for nothing. */
export const staticNames: readonly FieldName[] = lines.map(line => fieldNameOf(line.split(' ', 1)[0] as string))
export const staticValues: readonly string[] = lines.map(line =>
  line.includes(' ') ? line.slice(line.indexOf(' ') + 1) : '',
)

/** The first entry with a name. */
export const staticIndexOf: ReadonlyMap<string, number> = new Map(
  staticNames.map((name, index) => [name.name, index] as const).toReversed(),
)
