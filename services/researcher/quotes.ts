/** Finding a quote in a text. Pure. */

/**
 * The passage of `text` that `quote` stands for, as it is written there; undefined when the text does not say it. Models break and join lines
 * as they copy, so runs of white space count as one; nothing else is forgiven.
 */
export function passageOf(text: string, quote: string): string | undefined {
  const wanted = quote.trim();
  if (wanted === '') return undefined;
  if (text.includes(wanted)) return wanted;
  const { folded, origin } = fold(text);
  const at = folded.indexOf(fold(wanted).folded);
  if (at < 0) return undefined;
  const last = at + fold(wanted).folded.length - 1;
  return text.slice(origin[at], (origin[last] ?? text.length) + 1);
}

/** The text with each run of white space as one blank, and where each of its characters stood. */
function fold(text: string): { readonly folded: string; readonly origin: readonly number[] } {
  const origin: number[] = [];
  let folded = '';
  for (let at = 0; at < text.length; at += 1) {
    const blank = /\s/.test(text.charAt(at));
    if (blank && folded.endsWith(' ')) continue;
    folded += blank ? ' ' : text.charAt(at);
    origin.push(at);
  }
  return { folded, origin };
}

/** How many sentences a text has. A line break inside a paragraph ends none. */
export function sentencesIn(text: string): number {
  const flowing = text.replaceAll(/(?<=\S)\r?\n(?=[^\s\-*#])/g, ' ');
  const segments = new Intl.Segmenter('en', { granularity: 'sentence' }).segment(flowing);
  return [...segments].filter(({ segment }) => segment.trim() !== '').length;
}

/** The text in pieces of at most `length` characters, cut at the end of a paragraph, a sentence or a word where there is one. */
export function portionsOf(text: string, length: number): readonly string[] {
  const portions: string[] = [];
  let rest = text;
  while (rest.length > length) {
    const window = rest.slice(0, length);
    const ends = ['\n\n', '. ', ' '].map((mark) => window.lastIndexOf(mark) + mark.length);
    // A cut in the first half would leave tiny pieces; then the next, weaker kind of end is better.
    const cut = ends.find((end) => end > length / 2) ?? length;
    portions.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  return [...portions, rest].filter((portion) => portion.trim() !== '');
}
