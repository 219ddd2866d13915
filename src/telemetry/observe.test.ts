import assert from 'node:assert/strict'
import test from 'node:test'
import { renderMetrics } from './exposition.ts'
import { readExposition } from './exposition-reader.ts'
import { fakeFinished } from './fakes.ts'
import { createMeter } from './meter.ts'
import { createCallObserver } from './observe.ts'
import { createPage } from './page.ts'

function observed(...events: ReturnType<typeof fakeFinished>[]) {
  const page = createPage('0')
  const observe = createCallObserver(createMeter({ page }))
  for (const event of events) observe(event)
  const { samples } = readExposition(renderMetrics([page], 'prometheus'))
  return (name: string) => samples.filter(sample => sample.name === name)
}

test('one call is counted in total, gateway share, upstream share and bytes', () => {
  const named = observed(fakeFinished({ upstream: 'stock', totalMs: 30, upstreamMs: 20, bytesIn: 7, bytesOut: 1500 }))
  assert.deepEqual(named('http_server_request_duration_seconds_sum'), [
    {
      name: 'http_server_request_duration_seconds_sum',
      labels: {
        http_request_method: 'GET',
        http_response_status_code: '200',
        http_route: 'catalog',
        url_scheme: 'http',
      },
      value: 0.03,
    },
  ])
  assert.deepEqual(named('http_client_request_duration_seconds_sum'), [
    {
      name: 'http_client_request_duration_seconds_sum',
      labels: { http_request_method: 'GET', turnpike_upstream: 'stock' },
      value: 0.02,
    },
  ])
  assert.deepEqual(named('turnpike_gateway_duration_seconds_sum')[0]?.labels, { http_route: 'catalog' })
  assert.equal(named('turnpike_gateway_duration_seconds_sum')[0]?.value, 0.01)
  assert.equal(named('http_server_request_body_size_bytes_sum')[0]?.value, 7)
  assert.equal(named('http_server_response_body_size_bytes_sum')[0]?.value, 1500)
})

test('calls differing in any label are told apart, equal ones are added up', () => {
  const counts = observed(
    fakeFinished(),
    fakeFinished(),
    fakeFinished({ status: 201 }),
    fakeFinished({ method: 'POST' }),
    fakeFinished({ scheme: 'https' }),
    fakeFinished({ route: 'other' }),
    fakeFinished({ code: 'internal', status: 500 }),
    fakeFinished({ code: 'upstream-reset', status: 500 }),
  )('http_server_request_duration_seconds_count')
  assert.deepEqual(
    counts.map(({ value }) => value),
    [2, 1, 1, 1, 1, 1, 1],
  )
})

test('clients cannot make series by method or status', () => {
  const counts = observed(
    fakeFinished({ method: 'FROB' }),
    fakeFinished({ method: 'get' }),
    fakeFinished({ method: '__proto__' }),
    fakeFinished({ method: 'X', status: 7 }),
    fakeFinished({ method: 'X', status: 600 }),
  )('http_server_request_duration_seconds_count')
  assert.deepEqual(
    counts.map(({ labels, value }) => [labels.http_request_method, labels.http_response_status_code, value]),
    [
      ['_OTHER', '200', 3],
      ['_OTHER', undefined, 2],
    ],
  )
})

test('a call that ended unanswered has no status, only its reason', () => {
  const [sample] = observed(fakeFinished({ status: 0, code: 'client-closed' }))(
    'http_server_request_duration_seconds_count',
  )
  assert.equal(sample?.labels.http_response_status_code, undefined)
  assert.equal(sample?.labels.error_type, 'client-closed')
})

test('only what the upstream did is an error of the upstream', () => {
  const named = observed(
    fakeFinished({ upstream: 'stock', code: 'upstream-timeout', status: 504 }),
    fakeFinished({ upstream: 'stock', code: 'client-closed', status: 0 }),
  )
  const errors = named('http_client_request_duration_seconds_count').map(({ labels }) => labels.error_type)
  assert.deepEqual(errors, ['upstream-timeout', undefined])
})

test('a call that asked no upstream is not counted for one', () => {
  assert.deepEqual(observed(fakeFinished())('http_client_request_duration_seconds_count'), [])
})

test('calls of gRPC are counted by route and status, unknown statuses together, other calls not', () => {
  const told = [0, 0, 14, 17, 999].map(status => {
    const event = fakeFinished()
    event.call.grpcStatus = status
    return event
  })
  const counts = observed(fakeFinished(), ...told)('turnpike_grpc_calls_total')
  assert.deepEqual(
    counts.map(({ labels, value }) => [labels.http_route, labels.rpc_grpc_status_code, value]),
    [
      ['catalog', '0', 2],
      ['catalog', '14', 1],
      ['catalog', 'other', 2],
    ],
  )
})
