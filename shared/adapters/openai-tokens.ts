/** Token counts of prompts and answers with the o200k encoding of current OpenAI models. */

/** Tokens of `text`; special tokens in it count as the plain text they are. */
export type CountTokens = (text: string) => number;

/**
 * Longest run handed to the tokenizer at once, in UTF-16 units. Its merge step is quadratic in an unbroken run: 100,000 letters
 * without a space, which any submitter may send, would hold the event loop for minutes and cost every lease of the process.
 */
const RUN_MAX = 256;

let loading: Promise<CountTokens> | undefined;

/** Loads the tokenizer on first use: 160 ms and 70 MB that an agent which never calls a model must not pay. */
export function tokenCounter(): Promise<CountTokens> {
  loading ??= load();
  return loading;
}

async function load(): Promise<CountTokens> {
  const { countTokens, setMergeCacheSize } = await import('gpt-tokenizer/encoding/o200k_base');
  // The cache would grow with every new word (I11) and is slower than no cache once it is full.
  setMergeCacheSize(0);
  const plain = { disallowedSpecial: new Set<string>() };
  return (text) => {
    let tokens = 0;
    for (const run of runsOf(text)) tokens += countTokens(run, plain);
    return tokens;
  };
}

/**
 * The text in pieces of at most RUN_MAX units, cut before a space where there is one. The encoding itself breaks there, so such
 * cuts change nothing; a cut inside a longer run can only add to the count, which keeps a reservation on the safe side (I4).
 */
export function* runsOf(text: string): Generator<string> {
  let start = 0;
  while (start < text.length) {
    let end = Math.min(start + RUN_MAX, text.length);
    if (end < text.length) {
      const space = text.lastIndexOf(' ', end);
      if (space > start) end = space;
      else if (isLowSurrogate(text.charCodeAt(end)) && end - start > 1) end -= 1;
    }
    yield text.slice(start, end);
    start = end;
  }
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
