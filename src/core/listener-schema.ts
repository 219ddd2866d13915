// What the config can say about a listener: where it listens, its TLS, and what clients may do there.

import { Choice, Duration, Fields, Maybe, OneOrMany, Rate, Shorthand, Size, type Static, Type } from './schema.ts'

const flood = (count: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 1_000_000, default: count, description })
/** A TCP port. */
export const port = (description: string) => Type.Integer({ minimum: 0, maximum: 65535, description })

const tlsSchema = Fields({
  certificates: Type.Array(
    Fields({
      cert: Type.String({ format: 'file', description: 'PEM file with the certificate and its chain.' }),
      key: Type.String({ format: 'file', description: 'PEM file with the private key.' }),
    }),
    {
      default: [],
      description: 'Chosen by SNI from the names in the certificates; the first one serves unknown names.',
    },
  ),
  acme: Type.Array(Type.String({ format: 'hostname' }), {
    maxItems: 1000,
    default: [],
    description: 'Host names that get certificates by themselves, one each, from the server of the top-level `acme`.',
  }),
  minVersion: Choice(['1.2', '1.3'], { default: '1.2', description: 'Oldest TLS version accepted.' }),
  ciphers: OneOrMany(Type.String(), {
    minItems: 1,
    default: ['intermediate'],
    description:
      'Cipher suites in the order of preference, by the names of OpenSSL; `intermediate` and `compatible` stand for lists.',
  }),
  clientCa: Maybe(
    Shorthand(
      'file',
      Fields(
        {
          file: Type.String({
            format: 'file',
            description: 'PEM file of the authorities that sign client certificates.',
          }),
          mode: Choice(['required', 'optional'], {
            default: 'required',
            description: 'Whether a client without a certificate may connect. One with a bad certificate never may.',
          }),
          crl: Maybe(
            Type.String({ format: 'file', description: 'PEM file of revocation lists, one of every authority.' }),
          ),
          chain: Type.Boolean({
            default: false,
            description:
              'Keeps what the client sent along with its certificate, for `Client-Cert-Chain`. Sessions do not resume then: tickets hold no chain.',
          }),
        },
        { description: 'Asks clients for a certificate; nobody is asked where it is not written.' },
      ),
    ),
  ),
})

export const listenerSchema = Fields({
  name: Type.String({
    default: '',
    description: 'For `match.listeners` and metrics; the port where it is not written.',
  }),
  port: port('TCP port; 0 takes any free one.'),
  host: Maybe(Type.String({ description: 'Address to listen on; all addresses where it is not written.' })),
  tls: Maybe({ ...tlsSchema, description: 'Makes it a TLS port; plain HTTP where it is not written.' }),
  timeouts: Fields(
    {
      head: Duration({
        default: '10s',
        minimum: 1,
        description: 'From the first byte of a request until its head is complete.',
      }),
      body: Duration({
        default: '30s',
        minimum: 1,
        description: 'The longest pause while a request body or a reply is moving.',
      }),
      idle: Duration({
        default: '75s',
        minimum: 1,
        description: 'How long a keep-alive connection may stay without a call.',
      }),
      tunnel: Duration({
        default: '1h',
        minimum: 1,
        description: 'How long an upgraded connection may stay without a byte.',
      }),
    },
    { default: {}, description: 'How long clients may take.' },
  ),
  limits: Fields(
    {
      connections: Type.Integer({
        minimum: 1,
        default: 65536,
        description: 'Open connections, over all workers together; further ones are closed at once.',
      }),
      connectionsPerAddress: Maybe(
        Type.Integer({
          minimum: 1,
          description:
            'The same from one client address, IPv6 by /64; trusted proxies are not counted. Not bounded where it is not written.',
        }),
      ),
      accepts: Maybe(
        Rate({
          description:
            'New connections that are begun to be served, over all workers together, such as `500/s`; others wait, as long as `timeouts.head`. Not bounded where it is not written.',
        }),
      ),
      head: Size({ default: '32kB', description: 'Request line and header fields together.' }),
      fields: Type.Integer({ minimum: 1, maximum: 10000, default: 100, description: 'Number of header fields.' }),
      target: Size({ default: '8kB', description: 'The request target.' }),
    },
    { default: {}, description: 'How much is accepted; more is refused.' },
  ),
  proxyProtocol: Maybe(
    Fields(
      {
        from: Type.Array(Type.String({ format: 'cidr' }), {
          minItems: 1,
          description: 'Addresses or CIDRs of the proxies; other clients connect as they do elsewhere.',
        }),
      },
      {
        description:
          'Connections of these proxies begin with a PROXY header, version 1 or 2, which says who the client is; nobody’s where it is not written.',
      },
    ),
  ),
  http2: Fields(
    {
      enabled: Type.Boolean({
        default: true,
        description: 'Whether clients may speak HTTP/2: by ALPN with TLS, by its preface without.',
      }),
      streams: Type.Integer({
        minimum: 1,
        maximum: 10_000,
        default: 128,
        description: 'Calls at once on one connection; further ones are refused, to be tried again.',
      }),
      window: Size({
        default: '65535B',
        minimum: 65_535,
        description: 'What a client may send of one body before it was passed on; no less than the default.',
      }),
      resets: flood(500, 'Streams that end before their reply was whole, by the client or by its fault.'),
      pings: flood(1_000, 'PING frames.'),
      settings: flood(100, 'SETTINGS frames.'),
      emptyFrames: flood(
        1_000,
        'DATA frames without data, PRIORITY, GOAWAY, frames of unknown types, and those without data on streams that are over.',
      ),
      windowUpdates: flood(
        2_000,
        'WINDOW_UPDATE frames; each DATA frame of 1 kB and more that is sent makes room for ten.',
      ),
      continuations: Type.Integer({
        minimum: 0,
        maximum: 1_000,
        default: 8,
        description: 'CONTINUATION frames of one header block.',
      }),
    },
    {
      default: {},
      description:
        'HTTP/2, and what a client may do on one connection; the counts are for ten seconds, and past one the connection ends.',
    },
  ),
  trustedProxies: Type.Array(Type.String({ format: 'cidr' }), {
    default: [],
    description:
      'Addresses or CIDRs whose X-Forwarded-* fields are believed, and whose Forwarded and Via are continued; from others they are dropped.',
  }),
})

/** `name` is never empty here. Certificate files stand as their absolute paths. */
export type ListenerBlueprint = Static<typeof listenerSchema>
export type TlsBlueprint = Static<typeof tlsSchema>
