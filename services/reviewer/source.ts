/** What is to be judged and what it is judged against, read out of whatever other agents and users sent. Pure. */
import { z } from 'zod';
import { type Statement, squash } from './criteria.ts';

const Statements = z.object({ statements: z.array(z.object({ text: z.string(), quote: z.string().default('') })) });
const Facts = z.object({ facts: z.array(z.object({ statement: z.string(), quote: z.string().default('') })) });

const Brief = Statements.extend({ title: z.string(), summary: z.string(), offline: z.boolean().default(false) });
export type Brief = z.infer<typeof Brief>;

export function isBrief(result: unknown): boolean {
  return Brief.safeParse(result).success;
}

/** The claims of a brief, of a report on one, or of a list of facts; none for any other result. */
export function statementsIn(result: unknown): readonly Statement[] {
  const inner = z.object({ brief: z.unknown() }).safeParse(result).data?.brief ?? result;
  const claims = Statements.safeParse(inner).data;
  if (claims !== undefined) return claims.statements;
  const facts = Facts.safeParse(inner).data?.facts ?? [];
  return facts.map(({ statement, quote }) => ({ text: statement, quote }));
}

const STATEMENTS_MAX = 60;
const STATEMENT_LENGTH_MAX = 2_000;

/** What of the claims fits into one question: whoever wrote them, a voter's price stays bounded (I10). */
export function bounded(statements: readonly Statement[]): Statement[] {
  const clip = (words: string): string => words.slice(0, STATEMENT_LENGTH_MAX).toWellFormed();
  return statements.slice(0, STATEMENTS_MAX).map(({ text, quote }) => ({ text: clip(text), quote: clip(quote) }));
}

/** One brief out of all that was made: it as it is, several joined, or a bare list of claims under the given title. */
export function briefOf(results: readonly unknown[], title: string): Brief {
  const briefs = results.flatMap((result) => Brief.safeParse(result).data ?? []);
  const [first, ...others] = briefs;
  if (first !== undefined && others.length === 0) return first;
  const statements = (briefs.length > 0 ? briefs : results).flatMap((made) => [...statementsIn(made)]);
  const summary = briefs.map((brief) => brief.summary).join(' ');
  return { title, summary, statements, offline: briefs.some((brief) => brief.offline) };
}

/** `{"text": "..."}` or a string. */
export function textIn(input: unknown): string | undefined {
  const words = z.object({ text: z.string() }).safeParse(input).data?.text ?? z.string().safeParse(input).data;
  return words === undefined || words.trim() === '' ? undefined : words;
}

/** What the statements of a brief must stand up to: the texts of the task and of its goal, or a goal's input of any other form. */
export function sourceOf(taskInput: unknown, goalInput: unknown): string | undefined {
  const texts = [textIn(taskInput), textIn(goalInput)].filter((text) => text !== undefined);
  if (texts.length > 0) return texts.join('\n\n');
  return typeof goalInput === 'object' && goalInput !== null ? JSON.stringify(goalInput, null, 1) : undefined;
}

const LEAF_LENGTH_MAX = 2_000;

/** The words and figures of a value of any form, in order; at most `count` of them. */
export function leavesOf(value: unknown, count: number): readonly string[] {
  const leaves: string[] = [];
  const rest: unknown[] = [value];
  while (rest.length > 0 && leaves.length < count) {
    const next = rest.pop();
    if (typeof next === 'object' && next !== null) {
      const parts: readonly unknown[] = Object.values(next);
      rest.push(...parts.slice(0, count).toReversed());
    } else if ((typeof next === 'string' && next.trim() !== '') || typeof next === 'number') {
      leaves.push(String(next).slice(0, LEAF_LENGTH_MAX).toWellFormed());
    }
  }
  return leaves;
}

export interface Sentence {
  readonly sentence: string;
  /** Counted from 1. */
  readonly position: number;
}

/** Finds the sentence of `text` in which a passage begins. White space does not matter, anything else does. */
export function sentenceFinder(text: string): (passage: string) => Sentence | undefined {
  // A line break inside a paragraph ends no sentence.
  const flowing = text.replaceAll(/(?<=\S)\r?\n(?=[^\s\-*#])/g, ' ');
  const sentences = [...new Intl.Segmenter('en', { granularity: 'sentence' }).segment(flowing)]
    .map(({ segment }) => squash(segment))
    .filter((sentence) => sentence !== '');
  const whole = sentences.join(' ');
  return (passage) => {
    const at = passage.trim() === '' ? -1 : whole.indexOf(squash(passage));
    if (at < 0) return undefined;
    let end = 0;
    for (const [index, sentence] of sentences.entries()) {
      end += sentence.length + 1;
      if (at < end) return { sentence, position: index + 1 };
    }
    return undefined;
  };
}

/** Characters on each side of a quote that a reader needs to judge it. */
const AROUND = 400;

/** The text, or when it is longer than `length` the parts of it around the quotes: a voter's price must not grow with the source. */
export function excerptFor(text: string, statements: readonly Statement[], length: number): string {
  if (text.length <= length) return text;
  const places = statements
    .map(({ quote }) => ({ at: quote === '' ? -1 : text.indexOf(quote), size: quote.length }))
    .filter(({ at }) => at >= 0)
    .toSorted((one, other) => one.at - other.at);
  const parts: string[] = [];
  let taken = 0;
  for (const { at, size } of places) {
    const from = Math.max(taken, at - AROUND);
    const to = at + size + AROUND;
    if (to > from) parts.push(text.slice(from, to));
    taken = Math.max(taken, to);
  }
  return (parts.length > 0 ? parts.join('\n[...]\n') : text).slice(0, length).toWellFormed();
}
