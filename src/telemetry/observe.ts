// Turns one finished call into metrics: finds the series by route, method and outcome without building a string.

import type { Call } from '../core/call.ts'
import { codes, type FailureCode } from '../core/codes.ts'
import type { FinishedCall } from '../core/finished-call.ts'
import type { Counter, Histogram, Meter } from '../core/ports.ts'

/** The methods OpenTelemetry knows; any other is counted as `_OTHER`, so that clients cannot make series. */
const methods = ['_OTHER', 'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'QUERY']
const methodIndex = new Map(methods.map((method, index) => [method, index]))
const codeNames = Object.keys(codes) as FailureCode[]
const codeIndex = new Map<FailureCode | null, number>([
  [null, 0],
  ...codeNames.map((code, index): [FailureCode, number] => [code, index + 1]),
])
const codeCount = codeNames.length + 1
/** gRPC knows the statuses below. */
const grpcStatuses = 17

interface RouteSeries {
  readonly gateway: Histogram
  readonly bytesIn: (Histogram | undefined)[]
  readonly bytesOut: (Histogram | undefined)[]
  /** By status, scheme, method and code folded into one number. */
  readonly total: Map<number, Histogram>
  /** By status of gRPC. */
  readonly grpc: (Counter | undefined)[]
}

/**
 * Hot path: about 100 ns per call (bench/micro/observe.ts), because a series is found by one look-up of the route and one of a
 * small integer. Labels are bounded: route names come from the config, methods, statuses and codes from fixed lists.
 */
export function createCallObserver(meter: Meter): (event: FinishedCall) => void {
  const routes = new Map<string, RouteSeries>()
  const upstreams = new Map<string, Map<number, Histogram>>()

  return event => {
    const { call, status, code, totalMs, upstreamMs } = event
    const method = methodIndex.get(call.method) ?? 0
    const failure = codeIndex.get(code) ?? 0
    const answered = status >= 100 && status <= 599 ? status : 0
    const scheme = call.peer.scheme === 'https' ? 1 : 0

    const route = routes.get(call.route) ?? addRoute(meter, routes, call.route)
    const key = ((answered * 2 + scheme) * methods.length + method) * codeCount + failure
    const total = route.total.get(key) ?? addTotal(meter, route, key, call, answered, code)
    total.record(totalMs / 1000)
    route.gateway.record((totalMs - upstreamMs) / 1000)
    const bytesIn = route.bytesIn[method] ?? addBytesIn(meter, route, call.route, method)
    bytesIn.record(event.bytesIn)
    const bytesOut = route.bytesOut[method] ?? addBytesOut(meter, route, call.route, method)
    bytesOut.record(event.bytesOut)
    if (call.grpcStatus !== -1) {
      const told = Math.min(call.grpcStatus, grpcStatuses)
      const grpc = route.grpc[told] ?? addGrpc(meter, route, call.route, told)
      grpc.add(1)
    }
    if (call.upstream !== '') {
      const at = method * codeCount + failure
      const upstream =
        upstreams.get(call.upstream)?.get(at) ?? addUpstream(meter, upstreams, at, call.upstream, method, code)
      upstream.record(upstreamMs / 1000)
    }
  }
}

function addRoute(meter: Meter, routes: Map<string, RouteSeries>, name: string): RouteSeries {
  const series: RouteSeries = {
    gateway: meter.histogram('turnpike_gateway_duration_seconds', { http_route: name }),
    bytesIn: methods.map(() => undefined),
    bytesOut: methods.map(() => undefined),
    total: new Map(),
    grpc: Array.from({ length: grpcStatuses + 1 }, () => undefined),
  }
  routes.set(name, series)
  return series
}

function addTotal(
  meter: Meter,
  route: RouteSeries,
  key: number,
  call: Call,
  status: number,
  code: FailureCode | null,
): Histogram {
  const histogram = meter.histogram('http_server_request_duration_seconds', {
    http_request_method: methods[methodIndex.get(call.method) ?? 0] ?? '_OTHER',
    http_response_status_code: status === 0 ? '' : String(status),
    http_route: call.route,
    url_scheme: call.peer.scheme,
    error_type: code ?? '',
  })
  route.total.set(key, histogram)
  return histogram
}

function addBytesIn(meter: Meter, route: RouteSeries, name: string, method: number): Histogram {
  const histogram = meter.histogram('http_server_request_body_size_bytes', bodyLabels(name, method))
  route.bytesIn[method] = histogram
  return histogram
}

function addBytesOut(meter: Meter, route: RouteSeries, name: string, method: number): Histogram {
  const histogram = meter.histogram('http_server_response_body_size_bytes', bodyLabels(name, method))
  route.bytesOut[method] = histogram
  return histogram
}

function addGrpc(meter: Meter, series: RouteSeries, route: string, status: number): Counter {
  const told = status < grpcStatuses ? String(status) : 'other'
  const counter = meter.counter('turnpike_grpc_calls', { http_route: route, rpc_grpc_status_code: told })
  series.grpc[status] = counter
  return counter
}

function bodyLabels(route: string, method: number) {
  return { http_request_method: methods[method] ?? '_OTHER', http_route: route }
}

/** Only what the upstream did is its error; a denial by the gateway after it answered is not. */
function addUpstream(
  meter: Meter,
  upstreams: Map<string, Map<number, Histogram>>,
  at: number,
  name: string,
  method: number,
  code: FailureCode | null,
): Histogram {
  const histogram = meter.histogram('http_client_request_duration_seconds', {
    http_request_method: methods[method] ?? '_OTHER',
    turnpike_upstream: name,
    error_type: code !== null && codes[code].source === 'upstream' ? code : '',
  })
  const known = upstreams.get(name)
  if (known === undefined) upstreams.set(name, new Map([[at, histogram]]))
  else known.set(at, histogram)
  return histogram
}
