// Prints what the admin API answers: as a table for people, or as JSON.

import type { Answered } from './admin-client.ts'

/** Rows with these columns; a page says when there is more. */
export function renderRows(rows: readonly Answered[], columns: readonly string[]): string {
  if (rows.length === 0) return 'none\n'
  const cells = [
    columns.map(column => column.toUpperCase()),
    ...rows.map(row => columns.map(column => shown(row[column]))),
  ]
  const widths = columns.map((_, at) => Math.max(...cells.map(row => row[at]?.length ?? 0)))
  return cells
    .map(
      row =>
        `${row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** One thing, a line per member. */
export function renderThing(thing: Answered): string {
  const members = Object.entries(thing).filter(([, value]) => shown(value) !== '-')
  const width = Math.max(0, ...members.map(([name]) => name.length))
  return members.map(([name, value]) => `${name.padEnd(width)}  ${shown(value)}\n`).join('')
}

/** Control characters could change what a terminal shows. */
function shown(value: unknown): string {
  return textOf(value).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

function textOf(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(textOf).join(',')
  if (typeof value === 'string') return value
  if (typeof value !== 'object') return JSON.stringify(value)
  const parts = Object.entries(value).map(([name, part]) => `${name}=${textOf(part)}`)
  return parts.length === 0 ? '-' : parts.join(',')
}
