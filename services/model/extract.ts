/** Extractive summarising: which sentences of a text say most about it, and about what was asked. Pure and deterministic. */
import { collapsed, contentWords, figuresOf, jaccard, namesOf, type Sentence, sentencesOf, wordsOf } from './text.ts';

export interface Fact {
  /** The quote, tidied to stand alone. */
  readonly statement: string;
  /** An exact substring of the text. */
  readonly quote: string;
}

const FACTS_MAX = 7;
/** Chosen sentences may take this share of a text, so that what is made of them is shorter than the text. */
const SHARE_MAX = 0.6;
/** What having a figure, or a name, adds to a sentence when that was asked for. */
const KIND_ASKED = 3;
/** Sentences with more words in common than this say the same. */
const SAME = 0.5;

/** The most informative sentences of `text` for `description`, in the order of the text; none only if it has no word. */
export function extractFacts(text: string, description: string): Fact[] {
  return selectSentences(text, description).map((sentence) => ({
    statement: standalone(sentence.text),
    quote: sentence.text,
  }));
}

/** Greedy by score; a sentence that repeats a chosen one or bursts the share is passed over. */
export function selectSentences(text: string, description: string): Sentence[] {
  const sentences = sentencesOf(text);
  const scores = scoreSentences(sentences, description);
  const order = sentences.map((_, index) => index).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  const count = Math.min(FACTS_MAX, Math.ceil(Math.sqrt(sentences.length) * 1.2));
  const chosen: { index: number; sentence: Sentence; words: ReadonlySet<string> }[] = [];
  let room = text.length * SHARE_MAX;
  for (const index of order) {
    const sentence = sentences[index];
    if (sentence === undefined || chosen.length >= count) continue;
    const words = new Set(sentence.words);
    if (chosen.some((other) => jaccard(other.words, words) >= SAME)) continue;
    // The best sentence is always taken: a text of one sentence has no shorter brief than itself.
    if (chosen.length > 0 && sentence.text.length > room) continue;
    room -= sentence.text.length;
    chosen.push({ index, sentence, words });
  }
  return chosen.sort((a, b) => a.index - b.index).map(({ sentence }) => sentence);
}

/**
 * A score per sentence: the mean weight of its words (frequent in the text, rare across its sentences), raised for an early
 * place, for figures and names, and for the words of the description.
 */
function scoreSentences(sentences: readonly Sentence[], description: string): number[] {
  const inText = new Map<string, number>();
  const inSentences = new Map<string, number>();
  for (const { words } of sentences) {
    for (const word of words) inText.set(word, (inText.get(word) ?? 0) + 1);
    for (const word of new Set(words)) inSentences.set(word, (inSentences.get(word) ?? 0) + 1);
  }
  const weight = (word: string) =>
    Math.log1p(inText.get(word) ?? 0) * Math.log1p(sentences.length / (inSentences.get(word) ?? 1));
  const asked = new Set(contentWords(description).filter((word) => inText.has(word)));
  // Kinds of facts that can be asked for without a word of the text.
  const kinds = { figures: /\bfigures\b/iu.test(description), names: /\bnames\b/iu.test(description) };
  return sentences.map((sentence, index) => {
    const words = new Set(sentence.words);
    const mean = Array.from(words, weight).reduce((sum, each) => sum + each, 0) / (words.size + 2);
    const early = 1 + 0.4 * Math.exp((-4 * index) / sentences.length);
    const figures = figuresOf(sentence.text).length > 0 ? (kinds.figures ? KIND_ASKED : 0.1) : 0;
    const names = namesOf(sentence.text).length > 0 ? (kinds.names ? KIND_ASKED : 0.1) : 0;
    const concrete = 1 + figures + names;
    const wanted = 1 + (asked.size === 0 ? 0 : asked.intersection(words).size / asked.size);
    return mean * early * concrete * wanted * formOf(sentence);
  });
}

/** Headings, questions, fragments and monsters make poor facts. */
function formOf({ text, words }: Sentence): number {
  const ended = /[.!。！]["'”’)\]]*$/u.test(text) ? 1 : 0.5;
  const asking = /[?？]["'”’)\]]*$/u.test(text) ? 0.6 : 1;
  const size = words.length < 3 ? 0.4 : words.length > 45 ? 0.7 : 1;
  return ended * asking * size;
}

/** White space collapsed, and the connective dropped that only makes sense after the sentence before. */
function standalone(text: string): string {
  const tidy = collapsed(text);
  const bare = tidy.replace(
    /^(?:however|moreover|furthermore|therefore|thus|hence|also|besides|in addition|as a result|for example|for instance),\s+/iu,
    '',
  );
  return bare === tidy ? tidy : bare.charAt(0).toLocaleUpperCase('en') + bare.slice(1);
}

/** The words that a text is about, most telling first, each as it is first written in it. */
export function keyTerms(text: string, count: number): string[] {
  const tally = new Map<string, { count: number; written: string }>();
  for (const written of wordsOf(text)) {
    const [word] = contentWords(written);
    if (word === undefined || word.length < 4 || /\d/u.test(word)) continue;
    const seen = tally.get(word);
    tally.set(word, { count: (seen?.count ?? 0) + 1, written: seen?.written ?? written });
  }
  // A stable sort: among equals the one that came first.
  const ranked = Array.from(tally.values()).sort((a, b) => b.count - a.count);
  return ranked.slice(0, count).map(({ written }) => written);
}
