import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { compileDescription } from './description.ts'

const options = { unsafePatterns: 'refuse', depthMax: 32, hasReplies: true } as const

for (const name of ['api.github.com.json', 'ghes-3.19.deref.json']) {
  test(`the document ${name} of @octokit/openapi is read, and finds mistakes`, () => {
    const file = createRequire(import.meta.url).resolve(`@octokit/openapi/generated/${name}`)
    const operations = compileDescription({ path: file, text: readFileSync(file, 'utf8') }, [], options)
    const match = operations.find('POST', '/repos/acme/shop/issues')
    assert.equal(match?.operation.name, 'POST /repos/{owner}/{repo}/issues')
    assert.deepEqual([...match.params.values()], ['acme', 'shop'])
    const check = match.operation.body?.find('application/json')?.check
    const mistakes = (value: unknown) => check?.(Buffer.from(JSON.stringify(value)))
    assert.deepEqual(mistakes({ title: 'A bug', labels: ['bug', { name: 'urgent' }] }), [])
    assert.deepEqual(mistakes({ labels: ['bug'] }), [{ pointer: '', message: 'must have title' }])
    assert.notDeepEqual(mistakes({ title: {} }), [])
    const reply = match.operation.reply(201)?.content?.find('application/json')?.check
    assert.notDeepEqual(reply?.(Buffer.from('{"id":1}')), [])
  })
}
