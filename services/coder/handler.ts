/** The thing that was asked for: a brief made of the facts that the tasks before this one found. */
import { z } from 'zod';
import { HandlerError, type TaskContext } from '../../shared/runtime/context.ts';
import { capability, type Manifest } from '../../shared/runtime/manifest.ts';
import { briefQuestion, type Fact, WrittenBrief } from './prompt.ts';

/** Facts that one question carries (I10): about 6,000 tokens. */
const FACTS_MAX = 100;
const FACT_LENGTH_MAX = 1_000;
/** Reasons of voters in one question, the newest first to stay. */
const REASONS_MAX = 12;
const REASON_LENGTH_MAX = 2_000;
/** Statements of a finished brief; a model that writes on and on is cut off. */
const STATEMENTS_MAX = 40;

const Input = z
  .union(
    [z.looseObject({ text: z.string().optional() }), z.string()],
    'expected a text, as a string or as {"text": "..."}',
  )
  .nullish();
type Input = z.infer<typeof Input>;

const Output = WrittenBrief.extend({
  /** True when a simulated model wrote it. */
  offline: z.boolean(),
});
export type Brief = z.infer<typeof Output>;

export async function writeBrief(context: TaskContext<Input>): Promise<Brief> {
  const facts = await factsOf(context);
  const reasons = context.reasons.slice(-REASONS_MAX).map((reason) => clip(reason, REASON_LENGTH_MAX));
  const missing = context.failures.map((failure) => clip(failure.description, REASON_LENGTH_MAX));
  const wanted = await wantedOf(context);
  const answer = await context.ask(briefQuestion(wanted, facts, { reasons, missing, answers: context.answers }));
  const { title, summary, statements } = answer.value;
  return { title, summary, statements: statements.slice(0, STATEMENTS_MAX), offline: answer.offline };
}

async function wantedOf(context: TaskContext<Input>): Promise<string> {
  return context.description.trim() === '' ? (await context.goal()).description : context.description;
}

/** Facts of the dependencies, in their order; without any, the sentences of the text itself, each its own evidence. */
async function factsOf(context: TaskContext<Input>): Promise<readonly Fact[]> {
  const found = Object.values(context.dependencies).flatMap(factsIn);
  const facts = found.length > 0 ? found : sentencesOf(textIn(context.input) ?? (await textOfGoal(context)));
  if (facts.length === 0) {
    const message = 'expected facts from a dependency or a text, got neither; give the goal an input {"text"}';
    throw new HandlerError('no_facts', message, { retry: false });
  }
  const bounded = new Map(
    facts.map(({ statement, quote }) => [quote, { statement: clip(statement), quote: clip(quote) }]),
  );
  return [...bounded.values()].slice(0, FACTS_MAX);
}

const Facts = z.object({ facts: z.array(z.object({ statement: z.string(), quote: z.string() })) });
const Statements = z.object({ statements: z.array(z.object({ text: z.string(), quote: z.string() })) });
const Report = z.object({ brief: Statements });

/** What another agent found or wrote, as facts. Any other result has none. */
function factsIn(result: unknown): readonly Fact[] {
  const facts = Facts.safeParse(result);
  if (facts.success) return facts.data.facts;
  const brief = Report.safeParse(result).data?.brief ?? Statements.safeParse(result).data;
  return (brief?.statements ?? []).map(({ text, quote }) => ({ statement: text, quote }));
}

async function textOfGoal(context: TaskContext<Input>): Promise<string> {
  const goal = await context.goal();
  return textIn(goal.input) ?? otherInput(goal.input) ?? goal.description;
}

function otherInput(input: unknown): string | undefined {
  return typeof input === 'object' && input !== null ? JSON.stringify(input, null, 1) : undefined;
}

function textIn(input: unknown): string | undefined {
  const text = Input.safeParse(input).data;
  const words = typeof text === 'string' ? text : text?.text;
  return words === undefined || words.trim() === '' ? undefined : words;
}

function sentencesOf(text: string): readonly Fact[] {
  // A line break inside a paragraph ends no sentence.
  const flowing = text.replaceAll(/(?<=\S)\r?\n(?=[^\s\-*#])/g, ' ');
  return [...new Intl.Segmenter('en', { granularity: 'sentence' }).segment(flowing)]
    .map(({ segment }) => segment.trim())
    .filter((sentence) => sentence !== '')
    .map((sentence) => ({ statement: sentence, quote: sentence }));
}

/** A beginning of `text` that is still a part of it: a quote must not end in half a character. */
function clip(text: string, length = FACT_LENGTH_MAX): string {
  return text.slice(0, length).replace(/[\uD800-\uDBFF]$/, '');
}

export const manifest: Manifest = {
  role: 'coder',
  responsibility: 'Makes the thing that was asked for out of what others found.',
  version: '1.0.0',
  capabilities: {
    code: capability({
      description:
        'Implements what is asked: a brief whose every statement rests on a quoted fact of the steps before it',
      input: Input,
      output: Output,
      estimate: { inputTokens: 1_200, outputTokens: 600 },
      run: writeBrief,
      // It can begin with the bare text, and is surer of itself with facts at hand.
      bid: ({ done }) => (done.some(({ capability: name }) => name === 'research') ? 0.9 : 0.4),
    }),
  },
  mayMessage: ['research', 'review'],
  usesModel: true,
  limits: { slots: 4 },
};
