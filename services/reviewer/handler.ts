/** A second pair of eyes: reports how far a brief is borne out by its source, and votes on what others made. */
import { z } from 'zod';
import type { TaskContext } from '../../shared/runtime/context.ts';
import { capability, type Manifest } from '../../shared/runtime/manifest.ts';
import type { Criterion, Statement } from './criteria.ts';
import { reportQuestion, type WrittenReport } from './prompt.ts';
import {
  bounded,
  briefOf,
  excerptFor,
  isBrief,
  type Sentence,
  sentenceFinder,
  sourceOf,
  statementsIn,
} from './source.ts';
import { judge } from './vote.ts';

/** Characters of the text that one question carries; positions are counted in the whole text, by code. */
const TEXT_LENGTH_MAX = 24_000;

const Input = z
  .union(
    [z.looseObject({ text: z.string().optional(), brief: z.unknown().optional() }), z.string()],
    'expected a text, as a string or as {"text": "..."}',
  )
  .nullish();
type Input = z.infer<typeof Input>;

const Evidence = z.object({
  statement: z.string(),
  quote: z.string(),
  /** The sentence of the text that supports the statement, and its number from 1; empty and 0 when there is none. */
  sentence: z.string(),
  position: z.int().nonnegative(),
  supported: z.boolean(),
});
type Evidence = z.infer<typeof Evidence>;
type Finding = WrittenReport['evidence'][number];

const Output = z.object({
  brief: z.object({
    title: z.string(),
    summary: z.string(),
    statements: z.array(z.object({ text: z.string(), quote: z.string() })),
  }),
  evidence: z.array(Evidence),
  verdict: z.object({ sound: z.boolean(), supported: z.int(), total: z.int(), note: z.string() }),
  /** True when a simulated model had a part in it. */
  offline: z.boolean(),
});
export type Review = z.infer<typeof Output>;

export async function review(context: TaskContext<Input>): Promise<Review> {
  const made = [
    ...Object.values(context.dependencies),
    z.object({ brief: z.unknown() }).safeParse(context.input).data?.brief,
  ];
  const { offline, ...whole } = briefOf(made, context.description);
  const brief = { ...whole, statements: bounded(whole.statements) };
  if (brief.statements.length === 0) {
    const note = 'nothing to review: no task before this one made a statement';
    context.log.warn({ event: 'review.empty' }, note);
    return { brief, evidence: [], verdict: { sound: false, supported: 0, total: 0, note }, offline };
  }
  const goal = await context.goal();
  // Without a text, what was found on the way is the next best thing to hold a brief against.
  const quotes = made
    .filter((result) => !isBrief(result))
    .flatMap((result) => statementsIn(result).map((fact) => fact.quote));
  const text = sourceOf(context.input, goal.input) ?? [goal.description, ...quotes].join('\n\n');
  const answer = await context.ask(reportQuestion(brief, excerptFor(text, brief.statements, TEXT_LENGTH_MAX)));
  const find = sentenceFinder(text);
  const evidence = brief.statements.map((statement, index) =>
    evidenceOf(statement, answer.value.evidence[index], find),
  );
  const supported = evidence.filter((item) => item.supported).length;
  const total = evidence.length;
  const note = `${supported} of ${total} statements rest on a sentence of the text`;
  return {
    brief,
    evidence,
    verdict: { sound: supported === total, supported, total, note },
    offline: offline || answer.offline,
  };
}

/**
 * The model says whether a sentence supports the statement; code says whether the passage is there: that of the quote, or for a statement
 * without one the sentence that the model names. The position is counted by code.
 */
function evidenceOf(
  { text, quote }: Statement,
  finding: Finding | undefined,
  find: (passage: string) => Sentence | undefined,
): Evidence {
  const claimed = finding?.sentence ?? '';
  const found = find(quote.trim() === '' ? claimed : quote);
  const supported = found !== undefined && claimed.trim() !== '';
  return { statement: text, quote, sentence: found?.sentence ?? '', position: found?.position ?? 0, supported };
}

/** The manifest of a reviewer that judges by `criterion`, or by one that its agentId decides. */
export function manifestWith(criterion: Criterion | undefined): Manifest {
  return {
    role: 'reviewer',
    responsibility: 'Checks what others made against its source, and votes on it.',
    version: '1.0.0',
    capabilities: {
      review: capability({
        description: 'Reviews a brief: for each statement the sentence of the text that supports it, and a verdict',
        input: Input,
        output: Output,
        estimate: { inputTokens: 2_000, outputTokens: 700 },
        run: review,
      }),
    },
    mayMessage: [],
    usesModel: true,
    limits: { slots: 4 },
    vote: (request, context) => judge(criterion, request, context),
    voteEstimate: { inputTokens: 1_500, outputTokens: 100 },
  };
}
