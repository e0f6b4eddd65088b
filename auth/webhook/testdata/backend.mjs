// A backend for the webhook of Hoofbeat, in Node without dependencies: Alice may read everything and send to /app/**.
//   WEBHOOK_SECRET=… node backend.mjs 3000
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const secret = process.env.WEBHOOK_SECRET
if (!secret) throw new Error('WEBHOOK_SECRET is not set')
const passcodes = new Map([['alice', 'wonderland']]) // keep salted hashes in yours

function signed(request, body) {
  const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(request.headers['hoofbeat-signature'] ?? '') ?? []
  if (!t || Math.abs(Date.now() / 1000 - t) > 300) return false
  const wanted = createHmac('sha256', secret).update(`${t}.`).update(body).digest()
  return timingSafeEqual(wanted, Buffer.from(v1, 'hex'))
}

const answers = {
  connect: ({ login, passcode }) => !login ? { pass: true }
    : passcodes.has(login) && passcodes.get(login) === passcode ? { allow: true, user: login, roles: ['reader'] }
    : { allow: false, reason: 'the login or the passcode is wrong' },
  subscribe: ({ roles = [] }) => ({ allow: roles.includes('reader'), coverage: 'all', max_age: 60 }),
  send: ({ user, destination }) => ({ allow: user === 'alice' && destination.startsWith('/app/') }),
}

createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
    const body = Buffer.concat(chunks)
    if (!signed(request, body)) return response.writeHead(401).end()
    const question = JSON.parse(body)
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(answers[question.event]?.(question) ?? { pass: true }))
  })
}).listen(Number(process.argv[2] ?? 0), '127.0.0.1', function () { console.log(this.address().port) })
