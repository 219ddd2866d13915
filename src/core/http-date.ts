// HTTP dates (RFC 9110 §5.6.7): the form in use and the two obsolete ones, read strictly.

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const days = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)'
const longDays = '(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)'
const month = `(${months.join('|')})`
const time = String.raw`(\d\d):(\d\d):(\d\d)`

/** `Sun, 06 Nov 1994 08:49:37 GMT` */
const fixed = new RegExp(String.raw`^${days}, (\d\d) ${month} (\d{4}) ${time} GMT$`)
/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const rfc850 = new RegExp(String.raw`^${longDays}, (\d\d)-${month}-(\d\d) ${time} GMT$`)
/** `Sun Nov  6 08:49:37 1994` */
const asctime = new RegExp(String.raw`^${days} ${month} ([ \d]\d) ${time} (\d{4})$`)

/** Milliseconds since the Unix epoch; null for what is no date. `nowMs` tells which century two digits mean. */
export function parseHttpDate(text: string, nowMs: number): number | null {
  let found = fixed.exec(text)
  if (found !== null) return dateOf(found[3], found[2], found[1], found.slice(4))
  found = rfc850.exec(text)
  if (found !== null) return dateOf(fullYear(Number(found[3]), nowMs), found[2], found[1], found.slice(4))
  found = asctime.exec(text)
  return found === null ? null : dateOf(found[6], found[1], found[2], found.slice(3, 6))
}

/** More than 50 years ahead means the century before. */
function fullYear(twoDigits: number, nowMs: number): string {
  const thisYear = new Date(nowMs).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + twoDigits
  return String(year > thisYear + 50 ? year - 100 : year)
}

function dateOf(year = '', monthName = '', day = '', clock: readonly string[] = []): number | null {
  const [hour = 0, minute = 0, second = 0] = clock.map(Number)
  const dayOfMonth = Number(day)
  const monthIndex = months.indexOf(monthName)
  if (hour > 23 || minute > 59 || second > 60) return null
  const ms = Date.UTC(Number(year), monthIndex, dayOfMonth, hour, minute, second)
  // The 31st of a month that has 30 days is none.
  return dayOfMonth > 0 && new Date(ms - second * 1000).getUTCMonth() === monthIndex ? ms : null
}
