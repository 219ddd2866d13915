// Calls a method of the Talk service and prints what comes back: node say.mjs ADDRESS METHOD TEXT... Plain JavaScript for any Node.

import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { credentials, loadPackageDefinition, Metadata, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const [address, method, ...texts] = process.argv.slice(2)
const folder = path.dirname(fileURLToPath(import.meta.url))
const { talk } = loadPackageDefinition(loadSync(path.join(folder, 'talk.proto'), { keepCase: true }))
const client = new talk.Talk(address, credentials.createInsecure())
const metadata = new Metadata()
const key = process.env.API_KEY
if (key !== undefined) metadata.set('x-api-key', key)

function failed(error) {
  console.log(`${status[error.code]}: ${error.details}`)
  client.close()
}

function answered(error, reply) {
  if (error !== null) return failed(error)
  console.log(reply.text)
  client.close()
}

function listen(call) {
  call.on('data', ({ text }) => console.log(text))
  call.on('error', failed)
  call.on('end', () => client.close())
}

function send(call) {
  for (const text of texts) call.write({ text })
  call.end()
}

if (method === 'say') client.say({ text: texts.join(' ') }, metadata, { deadline: Date.now() + 5_000 }, answered)
else if (method === 'count') listen(client.count({ text: texts.join(' ') }, metadata))
else if (method === 'join') send(client.join(metadata, answered))
else {
  const call = client.chat(metadata)
  listen(call)
  send(call)
}
