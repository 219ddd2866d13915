// Completes package-lock.json with the optional platform packages that npm left out when it wrote it.
//
// npm drops an optional dependency that the registry at hand does not carry, and `npm ci` then refuses the lockfile
// everywhere. Each missing one is entered with the exact version its parent asks for and the platform its name says.
// Run it after every change of a dependency: `npm run lock`.

import { readFileSync, writeFileSync } from 'node:fs'

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const processors = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64']

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))
const added = []

for (const [path, entry] of Object.entries(lock.packages)) {
  delete entry.resolved
  if (path === '') continue
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`
    if (lock.packages[place] || !/^\d/.test(version)) continue
    const words = name.slice(name.lastIndexOf('/') + 1).split('-')
    const os = words.find(word => systems.includes(word))
    const cpu = words.find(word => processors.includes(word))
    if (!os || !cpu) throw new Error(`${name}: the name does not say which system and processor it is for`)
    const libc = words.some(word => word.startsWith('musl')) ? ['musl'] : words.includes('gnu') ? ['glibc'] : null
    lock.packages[place] = {
      version,
      cpu: [cpu],
      ...(entry.dev && { dev: true }),
      ...(libc && { libc }),
      ...(entry.license && { license: entry.license }),
      optional: true,
      os: [os],
    }
    added.push(`${name}@${version}`)
  }
}

const inOrder = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'))
lock.packages = Object.fromEntries(inOrder)
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(added.length === 0 ? 'package-lock.json is complete' : `added ${added.length}:\n  ${added.join('\n  ')}`)
