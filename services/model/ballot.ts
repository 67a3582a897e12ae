/** `ballot` and `report`: statements held against the text they were made from. */
import { type Carried, type Claim, claimsOf, isObject, optionalText, requiredList, requiredText } from './carried.ts';
import { collapsed, contentWords, figuresOf, jaccard, namesOf, sentencesOf, stem, wordsOf } from './text.ts';

export interface Ballot {
  /** One of the options, or `abstain`. */
  readonly position: string;
  /** 0 to 1. */
  readonly confidence: number;
  /** Names what failed, quoting the statement, so that a rework can leave it out. */
  readonly rationale: string;
}

export interface Evidence {
  readonly statement: string;
  /** The sentence of the text that says it, as it is written there, or comes closest; empty when none does. */
  readonly sentence: string;
  /** Number of that sentence, counted from 1; 0 when there is none. */
  readonly position: number;
}

/** A check of one brief: the complaints, each quoting its statement. None means it passed. */
type Check = (claims: readonly Claim[], text: string) => string[];

/** Share of a statement's content words that its quote must have. */
const SUPPORT_MIN = 0.8;
const SAME = 0.8;

const CHECKS: Readonly<Record<string, Check>> = {
  support: lacksSupport,
  figures: strangeFigures,
  economy: notEconomical,
};

/**
 * Input: `{ proposal, criteria?, text?, statements, options? }`; `criteria` names some of support, figures, economy (default: all).
 * Without a text there is nothing to judge by, and with an unknown criterion nothing to judge: both abstain. Options other than
 * approve and reject are beyond checking; the one that the text speaks of most is chosen.
 */
export function answerBallot({ fields }: Carried): Ballot {
  const claims = claimsOf(requiredList(fields, 'ballot', 'statements'));
  const text = optionalText(fields, 'text');
  const asked = criteriaOf(fields['criteria']);
  if (text === undefined) return abstention('There is no text to hold the proposal against.');
  const options = Array.isArray(fields['options'])
    ? fields['options'].filter((option) => typeof option === 'string')
    : ['approve', 'reject'];
  if (!options.includes('approve') && !options.includes('reject')) return mostMentioned(options, text);
  if (asked.length === 0)
    return abstention(`None of the criteria is one I can check: ${Object.keys(CHECKS).join(', ')}.`);
  const verdict = checked(claims, text, asked);
  return options.includes(verdict.position)
    ? verdict
    : abstention(`There is no option to ${verdict.position}. ${verdict.rationale}`);
}

function checked(claims: readonly Claim[], text: string, asked: readonly string[]): Ballot {
  if (claims.length === 0) return { position: 'reject', confidence: 1, rationale: 'There are no statements.' };
  const complaints = asked.flatMap((name) => CHECKS[name]?.(claims, text) ?? []);
  if (complaints.length > 0) {
    const confidence = rounded(0.6 + (0.4 * Math.min(complaints.length, claims.length)) / claims.length);
    return { position: 'reject', confidence, rationale: complaints.join(' ') };
  }
  const closeness = claims.map((claim) => shareOf(claim.text, claim.quote ?? text));
  const confidence = rounded(closeness.reduce((sum, share) => sum + share, 0) / claims.length);
  return { position: 'approve', confidence, rationale: `All ${claims.length} statements pass: ${asked.join(', ')}.` };
}

function abstention(rationale: string): Ballot {
  return { position: 'abstain', confidence: 0, rationale };
}

function mostMentioned(options: readonly string[], text: string): Ballot {
  const words = contentWords(text);
  const mentions = options.map((option) => {
    const own = new Set(contentWords(option));
    return words.filter((word) => own.has(word)).length;
  });
  const most = mentions.reduce((highest, count) => Math.max(highest, count), 0);
  const leading = options.filter((_, index) => mentions[index] === most);
  const [only] = leading;
  if (most === 0 || only === undefined || leading.length > 1)
    return abstention('The text does not speak of one option more than of the others.');
  const all = mentions.reduce((sum, count) => sum + count, 0);
  return {
    position: only,
    confidence: rounded(most / all),
    rationale: `The text speaks of "${only}" most: ${most} of ${all} times.`,
  };
}

function criteriaOf(criteria: unknown): string[] {
  const known = Object.keys(CHECKS);
  if (criteria === undefined || criteria === null || criteria === '') return known;
  const words = JSON.stringify(criteria).toLowerCase();
  return known.filter((name) => words.includes(name));
}

function lacksSupport(claims: readonly Claim[], text: string): string[] {
  const flat = collapsed(text);
  return claims.flatMap(({ text: statement, quote }) => {
    if (quote !== undefined && !flat.includes(collapsed(quote)))
      return [`Its quote is not in the text: "${collapsed(statement)}".`];
    const missing = missingWords(statement, quote ?? text);
    if (shareOf(statement, quote ?? text) >= SUPPORT_MIN) return [];
    return [`The text does not say "${collapsed(statement)}" (not found: ${missing.slice(0, 5).join(', ')}).`];
  });
}

function strangeFigures(claims: readonly Claim[], text: string): string[] {
  const figures = new Set(figuresOf(text));
  const names = new Set(wordsOf(text).map(stem));
  return claims.flatMap(({ text: statement }) => {
    const strange = [
      ...figuresOf(statement).filter((figure) => !figures.has(figure)),
      ...namesOf(statement).filter((name) => !names.has(stem(name))),
    ];
    return strange.length === 0
      ? []
      : [`Not in the text: ${[...new Set(strange)].join(', ')} in "${collapsed(statement)}".`];
  });
}

function notEconomical(claims: readonly Claim[], text: string): string[] {
  const flat = collapsed(text);
  const length = collapsed(claims.map((claim) => claim.text).join(' ')).length;
  const single = sentencesOf(text).length <= 1;
  const tooLong = single ? length > flat.length : length >= flat.length;
  const complaints = tooLong
    ? [`The statements (${length} characters) are not shorter than the text (${flat.length}).`]
    : [];
  const words = claims.map((claim) => new Set(contentWords(claim.text)));
  for (const [index, own] of words.entries()) {
    if (!words.slice(0, index).some((other) => jaccard(other, own) >= SAME)) continue;
    complaints.push(`This repeats an earlier statement: "${collapsed(claims[index]?.text ?? '')}".`);
  }
  return complaints;
}

function missingWords(statement: string, source: string): string[] {
  const there = new Set(contentWords(source));
  return [...new Set(contentWords(statement))].filter((word) => !there.has(word));
}

/** Share of the statement's content words that the source has; a statement of stopwords alone says nothing, and is covered. */
function shareOf(statement: string, source: string): number {
  const words = new Set(contentWords(statement));
  return words.size === 0 ? 1 : 1 - missingWords(statement, source).length / words.size;
}

function rounded(share: number): number {
  return Math.round(share * 100) / 100;
}

/** Input: `{ brief: { statements }, text }`. */
export function answerReport({ fields }: Carried): { evidence: Evidence[] } {
  const text = requiredText(fields, 'report', 'text');
  const brief = isObject(fields['brief']) ? fields['brief'] : {};
  const claims = claimsOf(requiredList(brief, 'report', 'brief.statements', 'statements'));
  const sentences = sentencesOf(text).map(
    (sentence): Source => ({
      text: sentence.text,
      flat: collapsed(sentence.text),
      words: new Set(sentence.words),
    }),
  );
  return { evidence: claims.map((claim) => evidenceOf(claim, sentences)) };
}

interface Source {
  readonly text: string;
  readonly flat: string;
  readonly words: ReadonlySet<string>;
}

function evidenceOf({ text: statement, quote }: Claim, sentences: readonly Source[]): Evidence {
  const needle = collapsed(quote ?? statement);
  const quoted = sentences.findIndex((sentence) => sentence.flat.includes(needle));
  const index = quoted >= 0 ? quoted : closest(statement, sentences);
  const found = sentences[index];
  return found === undefined
    ? { statement, sentence: '', position: 0 }
    : { statement, sentence: found.text, position: index + 1 };
}

/** Index of the sentence that says the statement in other words; -1 when none has enough of its words. */
function closest(statement: string, sentences: readonly Source[]): number {
  const wanted = new Set(contentWords(statement));
  if (wanted.size === 0) return -1;
  const shares = sentences.map((sentence) => wanted.intersection(sentence.words).size / wanted.size);
  const best = shares.reduce((highest, share) => Math.max(highest, share), 0);
  return best >= SUPPORT_MIN ? shares.indexOf(best) : -1;
}
