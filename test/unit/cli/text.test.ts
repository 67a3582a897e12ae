import { describe, expect, it } from 'vitest';
import {
  clip,
  duration,
  jsonArray,
  safeBlock,
  safeJson,
  safeLine,
  usd,
  widthOf,
} from '../../../services/cli/render/text.ts';

const ESCAPE = '\u001b';
const RIGHT_TO_LEFT_OVERRIDE = '\u202e';

const INVISIBLE = [
  0x061c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0xfeff, 0xfff9, 0xe0001,
  0xe007f,
];

/** Every character that a terminal, or a reader's eye, could be misled by. */
const CONTROLS = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, index) => 0x7f + index),
  ...INVISIBLE,
].map((code) => String.fromCodePoint(code));

describe('words on a terminal', () => {
  it('leaves no control character in a line, and shows each of them', () => {
    for (const control of CONTROLS) {
      const line = safeLine(`a${control}b`);
      expect(line).toMatch(/^a( |(\\u[0-9a-f]{4})+)b$/);
    }
    expect(safeLine(`${ESCAPE}[2J${RIGHT_TO_LEFT_OVERRIDE}`)).toBe('\\u001b[2J\\u202e');
  });

  it('keeps line feeds and tabs in a block, and nothing else of that kind', () => {
    expect(safeBlock('a\n\tb\r\nc')).toBe('a\n\tb\nc');
    for (const control of CONTROLS.filter((character) => character !== '\n' && character !== '\t')) {
      expect(safeBlock(`a${control}b`)).toMatch(/^a(\\u[0-9a-f]{4})+b$/);
    }
    expect(safeBlock('over\rwritten')).toBe('over\\u000dwritten');
  });

  it('keeps ordinary text of any script as it is', () => {
    const text = 'naïve — 数字, Ελλάδα, עברית, 👩‍💻 ✔';
    expect(safeLine(text)).toBe(text);
    expect(safeBlock(text)).toBe(text);
  });

  it('replaces half a surrogate pair, which no terminal can show', () => {
    expect(safeLine('a\ud800b')).toBe('a\ufffdb');
  });

  it('writes JSON that parses to the same value and holds no control character', () => {
    const value = { text: CONTROLS.join(''), nested: [{ [`${ESCAPE}key`]: '👩‍💻' }] };
    for (const indent of [0, 2]) {
      const json = safeJson(value, indent);
      expect(JSON.parse(json)).toEqual(value);
      expect(CONTROLS.filter((control) => control !== '\n' && json.includes(control))).toEqual([]);
    }
    expect(safeJson(value)).not.toContain('\n');
  });

  it('writes an array of records with one record per line', () => {
    expect(jsonArray([])).toBe('[]');
    const lines = jsonArray([{ a: 1 }, { a: '\n' }]).split('\n');
    expect(lines).toEqual(['[', '{"a":1},', '{"a":"\\n"}', ']']);
  });
});

describe('columns', () => {
  it.each([
    ['abc', 3],
    ['', 0],
    ['数字', 4],
    ['e\u0301', 1],
    ['👩‍💻', 2],
    ['❤️', 2],
    ['│ └─ a', 6],
    [`${ESCAPE}[32mgood${ESCAPE}[39m`, 4],
  ])('%j takes %i', (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  it('cuts to a width and says so', () => {
    expect(clip('abcdef', 6)).toBe('abcdef');
    expect(clip('abcdef', 5)).toBe('abcd…');
    expect(clip('数字数字', 5)).toBe('数字…');
    expect(clip('数字数字', 4)).toBe('数…');
    expect(clip('abc', 1)).toBe('…');
    expect(clip('abc', 0)).toBe('');
    expect(clip('abc', Number.POSITIVE_INFINITY)).toBe('abc');
  });
});

describe('amounts', () => {
  it.each([
    [-5, '0 ms'],
    [0, '0 ms'],
    [999, '999 ms'],
    [1_000, '1.0 s'],
    [59_949, '59.9 s'],
    [59_950, '1 m 0 s'],
    [3_599_400, '59 m 59 s'],
    [3_600_000, '1 h 0 m'],
    [90_000_000, '1 d 1 h'],
  ])('%i ms is %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  it.each([
    [0, '$0'],
    [1.5, '$1.5000'],
    [0.01, '$0.0100'],
    [0.00123, '$0.0012'],
    [0.000_012_3, '$0.000012'],
    [1e-15, '$0.000000000000'],
    [1234.567, '$1234.57'],
  ])('%d USD is %s', (amount, text) => {
    expect(usd(amount)).toBe(text);
  });
});
