/**
 * Words that are safe to put on a terminal. Whatever came from an agent or a model passes through here: an escape sequence in a result
 * could otherwise rewrite the screen, set the clipboard, or hide text by turning its direction.
 */

/** C0 and C1 controls, DEL, line separators, direction overrides and isolates, interlinear and invisible format marks (not the emoji joiner). */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, index) => character.charCodeAt(index));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

/** One line: line breaks and tabs become spaces, any other unsafe character its visible escape. */
export function safeLine(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\r\n\t]+/g, ' ')
    .replace(UNSAFE, escaped);
}

/** Several lines: line feeds and tabs stay. */
export function safeBlock(text: string): string {
  return text
    .toWellFormed()
    .replace(/\r\n/g, '\n')
    .replace(UNSAFE, (character) => (character === '\n' || character === '\t' ? character : escaped(character)));
}

/** JSON that parses to exactly `value` and holds no character that a terminal acts on. `indent`: spaces per level, 0 for one line. */
export function safeJson(value: unknown, indent = 0): string {
  const json = JSON.stringify(value, null, indent) ?? 'null';
  // Outside of strings JSON has no unsafe character but the line feeds of its indentation.
  return json.replace(UNSAFE, (character) => (character === '\n' ? character : escaped(character)));
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const WIDE =
  /\p{Emoji_Presentation}|[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}]|[\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]|\ufe0f/u;
const ASCII = /^[\x20-\x7e]*$/;
const COLOUR = /\u001b\[[0-9;]*m/g;

/** Columns that a line takes on a terminal; colours take none. */
export function widthOf(line: string): number {
  const plain = line.replace(COLOUR, '');
  if (ASCII.test(plain)) return plain.length;
  let width = 0;
  for (const { segment } of graphemes.segment(plain)) width += cellsOf(segment);
  return width;
}

function cellsOf(grapheme: string): number {
  if (/^\p{Mark}+$/u.test(grapheme)) return 0;
  return WIDE.test(grapheme) ? 2 : 1;
}

/** At most `width` columns of a line without colours; what was cut is told by an ellipsis. */
export function clip(line: string, width: number): string {
  if (widthOf(line) <= width) return line;
  if (width <= 0) return '';
  let kept = '';
  let used = 0;
  for (const { segment } of graphemes.segment(line)) {
    const cells = cellsOf(segment);
    if (used + cells > width - 1) break;
    kept += segment;
    used += cells;
  }
  return `${kept}…`;
}

/** A span of milliseconds as people say it. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
  return `${Math.floor(minutes / (24 * 60))} d ${Math.floor(minutes / 60) % 24} h`;
}

/** US dollars; a cost too small for cents keeps two digits that say something. */
export function usd(amount: number): string {
  if (amount === 0) return '$0';
  if (amount >= 0.01) return `$${amount.toFixed(amount >= 100 ? 2 : 4)}`;
  return `$${Number(amount.toPrecision(2)).toFixed(Math.min(12, 1 - Math.floor(Math.log10(amount))))}`;
}

/** `2030-01-31T12:00:00.000Z` -> `2030-01-31 12:00:00 UTC`. */
export function moment(at: string): string {
  return `${safeLine(at.slice(0, 19).replace('T', ' '))} UTC`;
}

/** The time of day of a line that tells what happened, in UTC: `12:00:00.000Z`. `at`: milliseconds since the epoch. */
export function clock(at: number): string {
  return new Date(at).toISOString().slice(11);
}

/** `1 task`, `2 tasks`. */
export function count(n: number, noun: string, nouns = `${noun}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? noun : nouns}`;
}

/** A JSON array with one element per line, for programs that read it whole and for those that read lines. */
export function jsonArray(values: readonly unknown[]): string {
  return values.length === 0 ? '[]' : `[\n${values.map((value) => safeJson(value)).join(',\n')}\n]`;
}
