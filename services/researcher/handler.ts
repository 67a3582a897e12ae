/** Facts with their evidence: what a text says, each with the passage that says it. Whether a passage is there is checked by code. */
import { z } from 'zod';
import { HandlerError, type TaskContext } from '../../shared/runtime/context.ts';
import { capability, type Manifest } from '../../shared/runtime/manifest.ts';
import { factsQuestion } from './prompt.ts';
import { passageOf, portionsOf, sentencesIn } from './quotes.ts';

/** Characters of text that one question carries, about 6,000 tokens. */
const PORTION_LENGTH = 24_000;
/** Questions per task (I10); text beyond them is left unread, which the result says. */
const PORTIONS_MAX = 8;
const FACTS_PER_PORTION = 10;
const FACTS_MAX = PORTIONS_MAX * FACTS_PER_PORTION;

const Input = z
  .union(
    [z.looseObject({ text: z.string().optional() }), z.string()],
    'expected a text, as a string or as {"text": "..."}',
  )
  .nullish();
type Input = z.infer<typeof Input>;

const Fact = z.object({ statement: z.string().min(1), quote: z.string().min(1) });
type Fact = z.infer<typeof Fact>;

const Output = z.object({
  facts: z.array(Fact).min(1).max(FACTS_MAX),
  source: z.object({
    characters: z.int().nonnegative(),
    sentences: z.int().nonnegative(),
    /** Characters that were read, when the text was longer than one task reads. */
    read: z.int().nonnegative().optional(),
  }),
});
export type Research = z.infer<typeof Output>;

export async function research(context: TaskContext<Input>): Promise<Research> {
  const text = await sourceText(context);
  const portions = portionsOf(text, PORTION_LENGTH);
  const read = portions.slice(0, PORTIONS_MAX);
  const facts = new Map<string, Fact>();
  for (const portion of read) {
    const answer = await context.ask(factsQuestion(context.description, portion));
    const found = supported(answer.value.facts, portion, context).slice(0, FACTS_PER_PORTION);
    for (const fact of found) facts.set(fact.quote, fact);
  }
  if (facts.size === 0) {
    throw new HandlerError(
      'no_facts',
      'expected at least one fact whose quote stands in the text, got none; try another model or a longer text',
    );
  }
  const source = { characters: text.length, sentences: sentencesIn(text) };
  const unread = portions.length > read.length ? { read: read.reduce((sum, portion) => sum + portion.length, 0) } : {};
  return { facts: [...facts.values()], source: { ...source, ...unread } };
}

/** The task's own text, else the goal's, else what the goal says of itself. */
async function sourceText(context: TaskContext<Input>): Promise<string> {
  const own = textIn(context.input);
  if (own !== undefined) return own;
  const goal = await context.goal();
  return textIn(goal.input) ?? otherInput(goal.input) ?? goal.description;
}

function textIn(input: unknown): string | undefined {
  const text = Input.safeParse(input).data;
  const words = typeof text === 'string' ? text : text?.text;
  return words === undefined || words.trim() === '' ? undefined : words;
}

/** Figures in a JSON input can be quoted as well as words. */
function otherInput(input: unknown): string | undefined {
  return typeof input === 'object' && input !== null ? JSON.stringify(input, null, 1) : undefined;
}

/** A model may claim a passage that the text does not have; such a fact is dropped, not repaired. */
function supported(claimed: readonly Fact[], text: string, { log }: TaskContext<Input>): Fact[] {
  const facts: Fact[] = [];
  for (const { statement, quote } of claimed) {
    const passage = passageOf(text, quote);
    if (passage === undefined || statement.trim() === '') {
      log.warn({ event: 'fact.dropped', quote: quote.slice(0, 200) }, 'dropped a fact whose quote is not in the text');
      continue;
    }
    facts.push({ statement, quote: passage });
  }
  return facts;
}

export const manifest: Manifest = {
  role: 'researcher',
  responsibility: 'Finds out what a text says, with evidence for each fact.',
  version: '1.0.0',
  capabilities: {
    research: capability({
      description: 'Analyzes a text: its most important facts, each with the passage that supports it',
      input: Input,
      output: Output,
      estimate: { inputTokens: 1_800, outputTokens: 600 },
      run: research,
      // What a text says comes first; saying it again is seldom wanted.
      bid: ({ done }) => (done.some(({ capability: name }) => name === 'research') ? 0.3 : 0.8),
    }),
  },
  mayMessage: ['code', 'review'],
  usesModel: true,
  limits: { slots: 4 },
};
