/** `facts` and `brief`: what a text says, and a short text made of that. */
import { BadInput, type Carried, type Claim, claimsOf, optionalText, requiredList, requiredText } from './carried.ts';
import { extractFacts, type Fact, keyTerms } from './extract.ts';
import { collapsed, contentWords, jaccard } from './text.ts';

export interface Statement {
  readonly text: string;
  readonly quote: string;
}

export interface Brief {
  readonly title: string;
  readonly statements: readonly Statement[];
  readonly summary: string;
}

const STATEMENTS_MAX = 5;
const SUMMARY_STATEMENTS = 2;
const SAME = 0.8;

/** Input: `{ description, text }`. */
export function answerFacts({ fields }: Carried): { facts: Fact[] } {
  const facts = extractFacts(requiredText(fields, 'facts', 'text'), optionalText(fields, 'description') ?? '');
  if (facts.length === 0) throw new BadInput('"facts" expects a "text" with at least one word in it');
  return { facts };
}

/**
 * Input: `{ description?, facts: [{ statement, quote }], reasons?: string[] }`. Reasons are why voters sent an earlier brief back: a fact
 * that one of them quotes is left out this time, and one that asks for less halves the brief.
 */
export function answerBrief({ fields }: Carried): Brief {
  const facts = distinct(claimsOf(requiredList(fields, 'brief', 'facts')));
  if (facts.length === 0) throw new BadInput('"brief" expects "facts" with at least one { statement, quote }');
  const reasons = Array.isArray(fields['reasons'])
    ? fields['reasons'].filter((reason) => typeof reason === 'string').map(unquoted)
    : [];
  const kept = facts.filter((fact) => !reasons.some((reason) => blames(reason, fact)));
  const count = reasons.some((reason) => TOO_LONG.test(reason))
    ? Math.ceil(Math.min(facts.length, STATEMENTS_MAX) / 2)
    : STATEMENTS_MAX;
  const statements = (kept.length > 0 ? kept : facts.slice(0, 1))
    .slice(0, count)
    .map(({ text, quote }): Statement => ({ text: collapsed(text), quote: quote ?? text }));
  const words = statements.map(({ text }) => text);
  return {
    title: titleOf(words.join('\n'), optionalText(fields, 'description')),
    statements,
    summary: words.slice(0, SUMMARY_STATEMENTS).join(' '),
  };
}

/** Reviewers quote in JSON and cut long passages short. */
const BLAMED_LENGTH = 80;
const TOO_LONG = /\b(?:fewer characters|shorter)\b/iu;

function unquoted(reason: string): string {
  return collapsed(reason.replaceAll('\\n', ' ').replaceAll('\\"', '"'));
}

function blames(reason: string, fact: Claim): boolean {
  return [fact.text, fact.quote ?? fact.text].some((words) =>
    reason.includes(collapsed(words).slice(0, BLAMED_LENGTH)),
  );
}

function titleOf(text: string, description: string | undefined): string {
  const terms = keyTerms(text, 3);
  if (terms.length > 0) return `Brief: ${terms.join(', ')}`;
  return collapsed(description ?? 'Brief').slice(0, 80);
}

function distinct(claims: readonly Claim[]): Claim[] {
  const kept: { claim: Claim; words: ReadonlySet<string> }[] = [];
  for (const claim of claims) {
    const words = new Set(contentWords(claim.text));
    if (!kept.some((other) => other.claim.text === claim.text || jaccard(other.words, words) >= SAME))
      kept.push({ claim, words });
  }
  return kept.map(({ claim }) => claim);
}
