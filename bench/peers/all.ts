// The proxies that are compared.

import type { Peer } from '../peer.ts'
import { caddy } from './caddy.ts'
import { haproxy } from './haproxy.ts'
import { httpProxy } from './http-proxy.ts'
import { nginx } from './nginx.ts'
import { turnpike } from './turnpike.ts'

export const peers: readonly Peer[] = [nginx, haproxy, turnpike, caddy, httpProxy]
