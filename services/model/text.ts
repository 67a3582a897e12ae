/** Text as the offline model sees it: sentences with their place, content words, figures, names. Pure and deterministic. */

export interface Sentence {
  /** Exactly `source.slice(start, end)`. */
  readonly text: string;
  /** Offsets in the source, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
  /** Stems of its content words, in order, repeated as they occur. */
  readonly words: readonly string[];
}

const SEGMENTER = new Intl.Segmenter('en', { granularity: 'sentence' });
/** A period after these ends no sentence: known abbreviations, and an initial. */
const ABBREVIATION = /(?:^|[\s(])(?:e\.g|i\.e|cf|vs|approx|no|fig|mr|mrs|ms|dr|prof|st|inc|ltd|co|jr|sr)\.$/iu;
const INITIAL = /(?:^|[\s(])\p{Lu}\.$/u;
/** Longer than every abbreviation. To look at more would make a text of nothing but initials quadratic. */
const TAIL = 12;
/** Bullets, heading marks and numbers in front of a line. */
const LINE_MARK = /^(?:\s+|[>*•#+-]+\s+|\d{1,3}[.)]\s+)+/u;

/** The sentences of `source` in order. A sentence may run over a soft line break; list items and paragraphs are never joined. */
export function sentencesOf(source: string): Sentence[] {
  const sentences: Sentence[] = [];
  const flat = withoutSoftBreaks(source);
  let from: number | undefined;
  for (const { segment, index } of SEGMENTER.segment(flat)) {
    from ??= index;
    const end = index + segment.length;
    const tail = segment.trimEnd().slice(-TAIL);
    const open = ABBREVIATION.test(tail) || INITIAL.test(tail);
    if (open && end < flat.length && !segment.endsWith('\n')) continue;
    pushSentence(sentences, source, from, end);
    from = undefined;
  }
  if (from !== undefined) pushSentence(sentences, source, from, source.length);
  return sentences;
}

function pushSentence(sentences: Sentence[], source: string, from: number, to: number): void {
  const raw = source.slice(from, to);
  const start = from + (LINE_MARK.exec(raw)?.[0].length ?? 0);
  const end = from + raw.trimEnd().length;
  if (end <= start) return;
  const text = source.slice(start, end);
  if (!/[\p{L}\p{N}]/u.test(text)) return;
  const words = contentWords(text);
  sentences.push({ text, start, end, words });
}

/** Same length: a line break inside a paragraph becomes a space, so offsets stay those of the source. */
function withoutSoftBreaks(source: string): string {
  return source.replace(SOFT_BREAK, (lineBreak: string, carriage: string, offset: number) => {
    const heading = source[source.lastIndexOf('\n', offset - 1) + 1] === '#';
    if (heading) return lineBreak;
    return carriage === '' ? ' ' : '  ';
  });
}

/** A line break after text, before a line that begins neither a list item nor a heading and is not empty. */
const SOFT_BREAK = /(?<=\S)(\r?)\n(?![^\S\r\n]*(?:[-*•+>]\s|#|\d{1,3}[.)]\s|[\r\n]|$))/gu;

const WORD = /[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:['’.,-][\p{L}\p{N}][\p{L}\p{M}\p{N}]*)*/gu;

/** Words as written. Figures with their separators (`1,200.5`) are one word. */
export function wordsOf(text: string): string[] {
  return text.match(WORD) ?? [];
}

/** Stems of the words that carry meaning, in order. */
export function contentWords(text: string): string[] {
  return wordsOf(text)
    .map((word) => stem(word))
    .filter((word) => word.length > 1 && !STOPWORDS.has(word));
}

/** A light stem: case, possessive and plural. Enough to match a statement with its source, too little to confuse words. */
export function stem(word: string): string {
  const lower = word
    .normalize('NFKC')
    .toLowerCase()
    .replace(/['’]s?$/u, '');
  if (lower.length <= 3 || /\d/u.test(lower)) return lower;
  if (lower.endsWith('ies') && lower.length > 4) return `${lower.slice(0, -3)}y`;
  if (/(?:ss|us|is)$/u.test(lower)) return lower;
  if (/(?:ches|shes|xes|sses)$/u.test(lower)) return lower.slice(0, -2);
  return lower.endsWith('s') ? lower.slice(0, -1) : lower;
}

/** Numbers, normalised so that `1,200` and `1200` are the same: digits with at most a decimal point. */
export function figuresOf(text: string): string[] {
  const numbers = text.match(/\d+(?:[.,]\d+)*/gu) ?? [];
  return numbers.map((number) => number.replace(/,(?=\d{3}(?:\D|$))/gu, '').replace(',', '.'));
}

/**
 * Proper names: words with a capital that do not merely begin a sentence, and words with a capital after the first letter
 * (acronyms, CamelCase) wherever they stand.
 */
export function namesOf(text: string): string[] {
  return sentencesOf(text).flatMap((sentence) => {
    const words = wordsOf(sentence.text);
    return words.filter((word, index) => /^\p{L}.*\p{Lu}/u.test(word) || (index > 0 && /^\p{Lu}\p{L}/u.test(word)));
  });
}

/** White space collapsed: how a quote is compared with its source. */
export function collapsed(text: string): string {
  return text.replace(/\s+/gu, ' ').trim();
}

/** |a and b| / |a or b| of two sets. */
export function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const both = a.intersection(b).size;
  const either = a.size + b.size - both;
  return either === 0 ? 0 : both / either;
}

const STOPWORDS = new Set(
  `a about above after again against all also although always am among an and any are aren't around as at be because been before being
  below between both but by can cannot can't could did do does doing don't down during each either else even every few for from further
  had has have having he her here hers him his how however i if in into is isn't it its itself just let may me might mor more most much
  must my neither never no nor not now of off often on once one only or other our out over own per quite rather same she should since so
  some such than that the their them then there therefore these they thi this those though through thus to too under until up upon us very
  via wa was we well were what when where whether which while who whom whose why will with within without would yet you your`.split(
    /\s+/u,
  ),
);
