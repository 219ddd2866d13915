// The endpoints about the gateway itself: metrics, health, config, workers.

import { type Endpoint, json, problem } from './endpoint.ts'

export const statusEndpoints: readonly Endpoint[] = [
  {
    method: 'GET',
    path: /^\/metrics$/,
    isPublic: true,
    answer: ({ headers }, view) => ({ status: 200, ...view.metrics(headers.accept) }),
  },
  { method: 'GET', path: /^\/healthz$/, isPublic: true, answer: () => json(200, { status: 'alive' }) },
  {
    method: 'GET',
    path: /^\/readyz$/,
    isPublic: true,
    answer: (_request, view) => {
      const readiness = view.readiness()
      return json(readiness.isReady ? 200 : 503, readiness)
    },
  },
  { method: 'GET', path: /^\/config$/, answer: (_request, view) => json(200, view.config()) },
  { method: 'GET', path: /^\/workers$/, answer: (_request, view) => json(200, view.workers()) },
  { method: 'GET', path: /^\/upstreams$/, answer: (_request, view) => json(200, view.upstreams()) },
  { method: 'GET', path: /^\/certificates$/, answer: (_request, view) => json(200, view.certificates()) },
  {
    method: 'POST',
    path: /^\/reload$/,
    answer: async (_request, view) => {
      const result = await view.reload()
      return json(result.result === 'refused' ? 422 : 200, result)
    },
  },
  {
    method: 'POST',
    path: /^\/workers\/(\d{1,4})\/replace$/,
    answer: async ({ parameters: [id = ''] }, view) => {
      const isReplaced = await view.replaceWorker(Number(id))
      return isReplaced
        ? json(200, { replaced: Number(id) })
        : problem(404, `there is no worker ${id}; see GET /workers`)
    },
  },
]
