// Field lines: names, values, folding, limits (RFC 9112 §5, RFC 9110 §5).

import { accept, get, isTokenOctet, message, octetName, octets, type RequestCase, refuse } from '../case.ts'

const names = 'RFC 9112 §5.1'
const values = 'RFC 9110 §5.5'
const folds = 'RFC 9112 §5.2'
const limits = 'RFC 6585 §5'

const highOctets = String.fromCharCode(...octets(octet => octet >= 128))
const oneField = (name: string, value: string) => message({ headers: [[name, value]] })
const manyFields = (count: number): [string, string][] => Array.from({ length: count }, (_, n) => [`X-${n}`, `${n}`])
const linesOf = (fields: [string, string][]): string[] => fields.map(([name, value]) => `${name}: ${value}`)

const malformedLines: readonly (readonly [string, string])[] = [
  ['no colon', 'abc'],
  ['no colon, two words', 'abc def'],
  ['a colon alone', ':'],
  ['an empty name', ': y'],
  ['an empty name behind a space', ' : y'],
  ['a space in front of the colon', 'X : y'],
  ['two spaces in front of the colon', 'X  : y'],
  ['a tab in front of the colon', 'X\t: y'],
  ['a space inside the name', 'X Y: z'],
  ['a name in quotes', '"X": y'],
  ['a name in brackets', '[X]: y'],
  ['a name with an at sign', 'X@Y: z'],
  ['a name with a slash', 'X/Y: z'],
  ['a name with parentheses, a comment', 'X(c): z'],
  ['a pseudo-field of HTTP/2', ':path: /x'],
  ['a name in UTF-8', 'X\xc3\xa9: y'],
  ['an equals sign for the colon', 'X=y'],
  ['a request line', 'GET /hidden HTTP/1.1'],
]

const values_: readonly (readonly [string, string, string])[] = [
  ['an empty value', 'X:', ''],
  ['a value of white space', 'X: \t ', ''],
  ['no space behind the colon', 'X:y', 'y'],
  ['much white space around', 'X: \t \t y \t \t', 'y'],
  ['white space inside, kept', 'X: a \t b', 'a \t b'],
  ['colons in the value', 'X: a:b: c', 'a:b: c'],
  ['a colon in front of the value', 'X:: y', ': y'],
  ['an open quote', 'X: "a', '"a'],
  ['a quoted string with a comma', 'X: "a,b", c', '"a,b", c'],
  ['every visible octet', 'X: !"#$%&\'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~', '!"#$%&\'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~'],
  ['every obs-text octet, forwarded byte for byte', `X: ${highOctets}`, highOctets],
  ['obs-text at both ends: a no-break space is no white space', 'X: \xa0y\x85', '\xa0y\x85'],
  ['UTF-8, forwarded byte for byte', 'X: \xe2\x82\xac', '\xe2\x82\xac'],
  ['malformed UTF-8, forwarded byte for byte', 'X: \xc3\x28\xff', '\xc3\x28\xff'],
  ['a value of ten thousand octets', `X: ${'y'.repeat(10_000)}`, 'y'.repeat(10_000)],
]

export const fields: readonly RequestCase[] = [
  ...malformedLines.map(([name, line]) => refuse(names, `field line: ${name}`, get(line))),
  ...octets(octet => !isTokenOctet(octet) && octet !== 58).map(octet =>
    refuse(names, `octet ${octetName(octet)} in a field name`, get(`X${String.fromCharCode(octet)}Y: z`), 400, {
      cuts: [30, 31, 32, 33, 34],
    }),
  ),
  accept(names, 'octet 0x3a (:) ends the field name', get('X:Y: z'), oneField('X', 'Y: z')),
  ...[
    "!#$%&'*+-.^_`|~",
    '0',
    'x',
    'X-Y_Z',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'length',
    'then',
  ].map(name => accept(names, `field name ${name} goes on unchanged`, get(`${name}: y`), oneField(name, 'y'))),
  accept(names, 'the case of names survives', get('x-AbC: y'), oneField('x-AbC', 'y')),
  ...values_.map(([name, line, value]) =>
    accept(values, `field value: ${name}`, get(line), oneField('X', value), 'open', few(line)),
  ),
  ...octets(octet => (octet < 32 && octet !== 9) || octet === 127).flatMap(octet =>
    ['a%b', '%a', 'a%'].map((shape, at) =>
      refuse(
        values,
        `octet ${octetName(octet)} ${['inside', 'in front of', 'behind'][at]} a field value`,
        get(`X: ${shape.replace('%', String.fromCharCode(octet))}`, 'Y: z'),
        400,
        { cuts: [32, 33, 34, 35, 36] },
      ),
    ),
  ),
  accept(
    values,
    'fields of one name stay apart and in order',
    get('Cookie: a=1', 'X: 1', 'Cookie: b=2', 'X: 2', 'cookie: c=3'),
    message({
      headers: [
        ['Cookie', 'a=1'],
        ['X', '1'],
        ['Cookie', 'b=2'],
        ['X', '2'],
        ['cookie', 'c=3'],
      ],
    }),
  ),
  ...[' ', '\t', '  ', ' \t'].map(space =>
    refuse(folds, `obs-fold with ${JSON.stringify(space)}`, get('X: y', `${space}z`, 'Z: 1')),
  ),
  refuse(folds, 'obs-fold in the last field', get('X: y', ' z')),
  refuse(folds, 'obs-fold that adds nothing', get('X: y', ' ')),
  refuse(folds, 'obs-fold with a field in it', get('X: y', ' Z: 1')),
  refuse(folds, 'obs-fold behind an empty value', get('X:', ' y')),
  refuse(folds, 'obs-fold in the name', get('X', ' : y')),
  refuse(folds, 'obs-fold behind the request line', 'GET / HTTP/1.1\r\n X: y\r\nHost: a.test\r\n\r\n'),
  accept(limits, 'a hundred fields', get(...linesOf(manyFields(99))), message({ headers: manyFields(99) }), 'open', {
    cuts: [1, 40, 400],
  }),
  refuse(limits, 'a hundred and one fields', get(...linesOf(manyFields(100))), 431, { cuts: [1, 40, 400] }),
  refuse(limits, 'a thousand fields', get(...linesOf(manyFields(1000))), 431, { cuts: [1, 40, 400] }),
  refuse(limits, 'ten thousand empty fields', get(...Array<string>(10_000).fill('X:')), 431, { cuts: [1, 40, 31_999] }),
  refuse(limits, 'a value past the limit of the head', get(`X: ${'y'.repeat(33_000)}`), 431, big()),
  refuse(limits, 'a name past the limit of the head', get(`${'x'.repeat(33_000)}: y`), 431, big()),
  refuse(limits, 'a field that never ends', get().slice(0, -2) + `X: ${'y'.repeat(100_000)}`, 431, big()),
  refuse(limits, 'a name that never ends', get().slice(0, -2) + 'x'.repeat(100_000), [400, 431], big()),
  refuse(limits, 'fields that never end', get().slice(0, -2) + 'X: y\r\n'.repeat(20_000), 431, big()),
  refuse(limits, 'white space that never ends', get().slice(0, -2) + `X:${' '.repeat(100_000)}`, 431, big()),
]

function few(line: string): { cuts?: readonly number[] } {
  return line.length > 60 ? { cuts: [1, 30, 32, 34, 50] } : {}
}

function big(): { cuts: readonly number[] } {
  return { cuts: [1, 35, 31_999, 32_000, 32_001] }
}
