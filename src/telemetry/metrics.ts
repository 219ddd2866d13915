// The one table of every metric that the gateway exposes. Recording a name that does not stand here is an error.
//
// A counter is named here and in code without `_total`, as OpenMetrics names the family; its samples carry the ending.

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** Base unit of OpenMetrics, empty for plain counts. The name ends in it. */
  readonly unit: '' | 'seconds' | 'bytes' | 'ratio'
  readonly help: string
  /** In the order in which they are printed. A label that is not given is left out, which means the same as empty. */
  readonly labels: readonly string[]
  /** Upper bounds of a histogram, ascending; the last one, infinity, is added. */
  readonly buckets?: readonly number[]
  /** How a gauge is merged over threads: `sum` where it is not said; `thread` keeps them apart by a label of that name. */
  readonly merge?: 'sum' | 'max' | 'thread'
}

/** The bounds OpenTelemetry advises for HTTP durations, with finer ones below: a gateway's calls are short. */
const durations = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
const overheads = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]
const sizes = [0, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000]

/** Documented in docs/metrics.md, which a test holds against this table. */
export const metrics = {
  // Calls. Recorded by observe.ts.
  http_server_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Calls from the first byte of the request to the last of the reply.',
    labels: ['http_request_method', 'http_response_status_code', 'http_route', 'url_scheme', 'error_type'],
    buckets: durations,
  },
  http_client_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'The share of a call spent waiting for upstreams until their reply heads came, all tries together.',
    labels: ['http_request_method', 'turnpike_upstream', 'error_type'],
    buckets: durations,
  },
  turnpike_gateway_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Calls without the wait for the head of the upstream reply: the gateway itself and the moving of bodies.',
    labels: ['http_route'],
    buckets: overheads,
  },
  http_server_request_body_size_bytes: {
    type: 'histogram',
    unit: 'bytes',
    help: 'Size of request bodies.',
    labels: ['http_request_method', 'http_route'],
    buckets: sizes,
  },
  http_server_response_body_size_bytes: {
    type: 'histogram',
    unit: 'bytes',
    help: 'Size of reply bodies.',
    labels: ['http_request_method', 'http_route'],
    buckets: sizes,
  },
  turnpike_grpc_calls: {
    type: 'counter',
    unit: '',
    help: 'Calls of gRPC by the status that the client was told; statuses that gRPC does not know are `other`.',
    labels: ['http_route', 'rpc_grpc_status_code'],
  },
  http_server_active_requests: {
    type: 'gauge',
    unit: '',
    help: 'Calls under way.',
    labels: ['listener'],
  },
  // Connections.
  turnpike_downstream_connections: {
    type: 'gauge',
    unit: '',
    help: 'Open connections from clients by state.',
    labels: ['listener', 'state'],
  },
  turnpike_downstream_connections_opened: {
    type: 'counter',
    unit: '',
    help: 'Connections accepted from clients.',
    labels: ['listener'],
  },
  turnpike_tls_handshake_failures: {
    type: 'counter',
    unit: '',
    help: 'TLS handshakes with clients that failed: `client-certificate` (bad or missing), `plain-http`, `protocol`, `timeout`, or `closed` by the client.',
    labels: ['listener', 'reason'],
  },
  turnpike_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'When the certificate in a file of the config ends, seconds since the Unix epoch; NaN once the config no longer names the file.',
    labels: ['file'],
  },
  turnpike_acme_orders: {
    type: 'counter',
    unit: '',
    help: 'Attempts to get a certificate by ACME, by name and outcome: `issued` or `failed`.',
    labels: ['server_name', 'outcome'],
  },
  turnpike_acme_certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'When the certificate of a name that was got by ACME ends, seconds since the Unix epoch; 0 for none.',
    labels: ['server_name'],
  },
  turnpike_proxy_header_refusals: {
    type: 'counter',
    unit: '',
    help: 'Connections of PROXY senders that were closed because no good header came.',
    labels: ['listener'],
  },
  turnpike_upstream_connections: {
    type: 'gauge',
    unit: '',
    help: 'Open connections to upstreams.',
    labels: ['upstream', 'state'],
  },
  turnpike_upstream_connections_opened: {
    type: 'counter',
    unit: '',
    help: 'Connections opened to upstreams.',
    labels: ['upstream'],
  },
  turnpike_upstream_connect_failures: {
    type: 'counter',
    unit: '',
    help: 'Connections to upstreams that could not be opened.',
    labels: ['upstream'],
  },
  turnpike_upstream_pending: {
    type: 'gauge',
    unit: '',
    help: 'Calls waiting for a connection to an upstream.',
    labels: ['upstream'],
  },
  turnpike_upstream_retries: {
    type: 'counter',
    unit: '',
    help: 'Further tries after the first, by what the try before it ended in.',
    labels: ['upstream', 'reason'],
  },
  turnpike_upstream_retry_budget_exhausted: {
    type: 'counter',
    unit: '',
    help: 'Calls that were not tried again because the budget of retries was used up.',
    labels: ['upstream'],
  },
  turnpike_upstream_resolve_failures: {
    type: 'counter',
    unit: '',
    help: 'Names of targets that could not be resolved; the last good addresses stay in use.',
    labels: ['upstream'],
  },
  turnpike_breaker_state: {
    type: 'gauge',
    unit: '',
    help: 'State of the breaker of an upstream: 0 closed, 1 half open, 2 open.',
    labels: ['upstream'],
    merge: 'max',
  },
  turnpike_breaker_changes: {
    type: 'counter',
    unit: '',
    help: 'Changes of the breaker of an upstream, by the `state` after it: `closed`, `half-open` or `open`.',
    labels: ['upstream', 'state'],
  },
  turnpike_breaker_refusals: {
    type: 'counter',
    unit: '',
    help: 'Calls that the breaker of an upstream refused.',
    labels: ['upstream'],
  },
  turnpike_adaptive_limit: {
    type: 'gauge',
    unit: '',
    help: 'How many calls at once the adaptive limit of an upstream allows now, over all workers.',
    labels: ['upstream'],
    merge: 'max',
  },
  turnpike_adaptive_latency_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'The lowest latency that the adaptive limit of an upstream compares with.',
    labels: ['upstream'],
    merge: 'max',
  },
  turnpike_adaptive_shed: {
    type: 'counter',
    unit: '',
    help: 'Calls that the adaptive limit of an upstream turned away, by their `priority`.',
    labels: ['upstream', 'priority'],
  },
  turnpike_upstream_hedges: {
    type: 'counter',
    unit: '',
    help: 'Second tries of late calls: `won` (it answered first), `lost` (the first try did) or `failed` (neither did well).',
    labels: ['upstream', 'outcome'],
  },
  turnpike_mirrored_calls: {
    type: 'counter',
    unit: '',
    help: 'Copies of calls for a `mirror`: `answered`, `failed`, or `dropped` past one of its limits.',
    labels: ['http_route', 'upstream', 'outcome'],
  },
  turnpike_upstream_targets: {
    type: 'gauge',
    unit: '',
    help: 'Addresses of targets that are watched, by state: `usable`, `unhealthy` (by checks) or `ejected` (by calls).',
    labels: ['upstream', 'state'],
  },
  turnpike_upstream_health_checks: {
    type: 'counter',
    unit: '',
    help: 'Checks of targets by outcome, `passed` or `failed`; `unknown` where the gateway had no socket for it.',
    labels: ['upstream', 'outcome'],
  },
  turnpike_upstream_ejections: {
    type: 'counter',
    unit: '',
    help: 'Ejections of targets by reason, `consecutive` or `success-rate`.',
    labels: ['upstream', 'reason'],
  },
  turnpike_limit_fallbacks: {
    type: 'counter',
    unit: '',
    help: "Calls that a limit decided without its store, because the store failed; `fallback` is the limit's `onFailure`.",
    labels: ['name', 'store', 'fallback'],
  },
  turnpike_store_alive: {
    type: 'gauge',
    unit: '',
    merge: 'thread',
    help: 'Whether a thread counts limits in a store: 1, or 0 while the store fails and `onFailure` decides.',
    labels: ['store'],
  },
  turnpike_store_failures: {
    type: 'counter',
    unit: '',
    help: 'Commands to a store and attempts to find it again that failed, by `reason`: what the server answered, or `timeout`, `unreachable`, `tls`, `cluster`, `other`.',
    labels: ['store', 'reason'],
  },
  turnpike_ceiling_hits: {
    type: 'counter',
    unit: '',
    help: 'How often a configured bound turned something away; `name` is the listener, upstream or route it stands at.',
    labels: ['ceiling', 'name'],
  },
  // Key sets of issuers. Recorded by src/identity/key-set.ts.
  turnpike_key_set_fetches: {
    type: 'counter',
    unit: '',
    help: 'Fetches of key sets by outcome, `ok` or `failed`; `name` is the address without its query.',
    labels: ['name', 'outcome'],
  },
  turnpike_key_set_fetched_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'When a key set was last fetched, in Unix time; the latest of all workers.',
    labels: ['name'],
    merge: 'max',
  },
  turnpike_validation_failures: {
    type: 'counter',
    unit: '',
    help: 'Requests and replies (`part`) that were not as the OpenAPI document of `validate` says, also where they passed.',
    labels: ['http_route', 'part'],
  },
  turnpike_external_unchecked: {
    type: 'counter',
    unit: '',
    help: 'Calls that `external` let pass unchecked, as its service gave no proper answer.',
    labels: ['http_route'],
  },
  turnpike_cache_calls: {
    type: 'counter',
    unit: '',
    help: 'Calls that `cache` saw, by outcome: `hit`, `stale`, `revalidated`, `collapsed` (waited for another call), `miss` or `bypass`.',
    labels: ['http_route', 'outcome'],
  },
  turnpike_cache_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'Memory that kept replies take, over all workers.',
    labels: [],
  },
  turnpike_cache_resources: {
    type: 'gauge',
    unit: '',
    help: 'Keys under which replies are kept, over all workers.',
    labels: [],
  },
  turnpike_cache_evictions: {
    type: 'counter',
    unit: '',
    help: 'Keys whose replies made room for others.',
    labels: [],
  },
  turnpike_compressions: {
    type: 'counter',
    unit: '',
    help: 'Replies that `compress` compressed, by coding.',
    labels: ['http_route', 'coding'],
  },
  turnpike_compression_bytes: {
    type: 'counter',
    unit: 'bytes',
    help: 'Bytes of replies before (`side="in"`) and after (`side="out"`) compression.',
    labels: ['http_route', 'side'],
  },
  // Config and threads.
  turnpike_config_version: {
    type: 'gauge',
    unit: '',
    help: 'Number of the config in force; it grows by one with each reload that was taken, and with certificates got by ACME.',
    labels: [],
    merge: 'max',
  },
  turnpike_config_reloads: {
    type: 'counter',
    unit: '',
    help: 'Reloads by result: `taken`, `unchanged` or `refused`.',
    labels: ['result'],
  },
  turnpike_config_last_reload_successful: {
    type: 'gauge',
    unit: '',
    help: '1 when the config was good at the last attempt to load it, 0 when it was refused.',
    labels: [],
    merge: 'max',
  },
  turnpike_config_last_reload_timestamp_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'When the config in force was taken, Unix time.',
    labels: [],
    merge: 'max',
  },
  turnpike_workers: {
    type: 'gauge',
    unit: '',
    help: 'Worker threads by state.',
    labels: ['state'],
  },
  turnpike_worker_replacements: {
    type: 'counter',
    unit: '',
    help: 'Worker threads that were replaced by a new one: `thrown` (by code that nothing caught), `died`, `asked` (by the admin API).',
    labels: ['reason'],
  },
  turnpike_event_loop_delay_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'How late the event loop of a thread ran, over the last ten seconds.',
    labels: ['quantile'],
    merge: 'thread',
  },
  turnpike_event_loop_utilization_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: 'The share of the last ten seconds in which the event loop of a thread was busy.',
    labels: [],
    merge: 'thread',
  },
  turnpike_thread_heap_used_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'JavaScript heap in use by a thread.',
    labels: [],
    merge: 'thread',
  },
  // Overload. Recorded by src/threads/overload-guard.ts.
  turnpike_overload_pressure_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: 'How much of what is left to calls of normal priority a worker has used: at 1 they are refused. `reason`: `memory` of the process, `heap` of the worker, `delay` of its event loop.',
    labels: ['reason'],
    merge: 'thread',
  },
  turnpike_overload_level: {
    type: 'gauge',
    unit: '',
    help: 'What a worker refuses now: 0 nothing, 1 calls of priority `low`, 2 also `normal`, 3 all.',
    labels: ['reason'],
    merge: 'thread',
  },
  turnpike_overload_refusals: {
    type: 'counter',
    unit: '',
    help: 'Calls that were refused because of an overload, by its reason.',
    labels: ['reason', 'priority'],
  },
  turnpike_overload_memory_limit_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'Memory that the process may have, as the overload guard sees it.',
    labels: [],
    merge: 'max',
  },
  // Telemetry about itself.
  turnpike_access_log_lines: {
    type: 'counter',
    unit: '',
    help: 'Lines of the access log by outcome: `written` or `dropped`.',
    labels: ['outcome'],
  },
  turnpike_metrics_series_overflow: {
    type: 'counter',
    unit: '',
    help: 'Series that were folded into one whose labels all say `other`, because the metric had its maximum of series.',
    labels: ['metric'],
  },
  // The process.
  turnpike_build_info: {
    type: 'gauge',
    unit: '',
    help: 'Always 1; the labels say what runs.',
    labels: ['version', 'node_version'],
    merge: 'max',
  },
  process_cpu_seconds: {
    type: 'counter',
    unit: 'seconds',
    help: 'CPU time of the process, user and system.',
    labels: [],
  },
  process_resident_memory_bytes: {
    type: 'gauge',
    unit: 'bytes',
    help: 'Resident memory of the process.',
    labels: [],
  },
  process_open_fds: {
    type: 'gauge',
    unit: '',
    help: 'File descriptors that the process has open.',
    labels: [],
  },
  process_max_fds: {
    type: 'gauge',
    unit: '',
    help: 'File descriptors that the process may have.',
    labels: [],
  },
  process_start_time_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'When the process started, Unix time.',
    labels: [],
    merge: 'max',
  },
} as const satisfies Record<string, MetricDefinition>

export type MetricName = keyof typeof metrics
