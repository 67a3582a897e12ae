/** One voter's ballot on another agent's result, or on any proposal that is put to reviewers. */
import { z } from 'zod';
import { isBlobRef } from '../../shared/protocol/ids.ts';
import { ABSTAIN, type Ballot, type VoteRequest } from '../../shared/protocol/vote.ts';
import type { VoterContext } from '../../shared/runtime/context.ts';
import { type Criterion, criterionOf, type Statement, violations } from './criteria.ts';
import { ballotQuestion } from './prompt.ts';
import { bounded, excerptFor, leavesOf, sourceOf, statementsIn, textIn } from './source.ts';

export type Judgement = Pick<Ballot, 'position' | 'confidence' | 'rationale'>;

/** Characters of the text and of the proposal that one question carries. */
const TEXT_LENGTH_MAX = 24_000;
const PROPOSAL_LENGTH_MAX = 8_000;
/** Words and figures of a result that makes no statements. */
const RESULT_MAX = 60;
/** Words and figures of what a maker was given. */
const MATERIAL_MAX = 500;
const REASONS_MAX = 12;
const RATIONALE_LENGTH_MAX = 2_000;

/** What the runtime sends along when it is a task's result that is voted on. Others may send anything. */
const Context = z
  .object({
    description: z.string(),
    input: z.unknown(),
    result: z.unknown(),
    dependencies: z.record(z.string(), z.unknown()),
    goal: z.object({ description: z.string(), input: z.unknown() }).partial(),
    reasons: z.array(z.string()),
  })
  .partial();
type Context = z.infer<typeof Context>;

/** Approval of a result that code finds at fault is overruled: no model can approve a quote that is not in the text. */
export async function judge(
  configured: Criterion | undefined,
  request: VoteRequest,
  context: VoterContext,
): Promise<Judgement> {
  const criterion = configured ?? criterionOf(context.agentId);
  const given = Context.safeParse(request.context).data ?? {};
  if (isBlobRef(given.result)) {
    return {
      position: ABSTAIN,
      confidence: 0,
      rationale: `${criterion}: the result is a reference to a large object, which a voter does not read`,
    };
  }
  const subject = subjectOf(request, given);
  const answer = await context.ask(
    ballotQuestion({
      criterion,
      proposal: clip(subject.proposal, PROPOSAL_LENGTH_MAX),
      text: subject.text === undefined ? undefined : excerptFor(subject.text, subject.statements, TEXT_LENGTH_MAX),
      statements: bounded(subject.statements),
      options: request.options,
      reasons: (given.reasons ?? []).slice(-REASONS_MAX).map((reason) => clip(reason, RATIONALE_LENGTH_MAX)),
    }),
  );
  const { position, confidence, rationale } = answer.value;
  const faults = subject.checkable ? violations(criterion, subject.statements, subject.text ?? '') : [];
  if (position === 'approve' && faults.length > 0) {
    context.log.warn({ event: 'vote.overruled', criterion, faults }, 'the model approved a result that is at fault');
    // A round that offers no `reject` has no place for a no.
    const no = request.options.includes('reject') ? 'reject' : ABSTAIN;
    return { position: no, confidence: 1, rationale: clip(`${criterion}: ${faults.join('; ')}`, RATIONALE_LENGTH_MAX) };
  }
  return { position, confidence, rationale: clip(`${criterion}: ${rationale}`, RATIONALE_LENGTH_MAX) };
}

interface Subject {
  readonly proposal: string;
  /** What the statements must stand up to; absent: nothing was given to judge by. */
  readonly text: string | undefined;
  readonly statements: readonly Statement[];
  /** True for a brief: its statements are claims about the text, so code can find fault with them. */
  readonly checkable: boolean;
}

/** A brief stands up to its source, or without one to all that its maker was given, as any other result; a bare proposal to what came with it. */
function subjectOf(request: VoteRequest, given: Context): Subject {
  const { description = '', input, result, dependencies, goal } = given;
  if (result === undefined) {
    const along = request.context === undefined ? undefined : JSON.stringify(request.context);
    const text = textIn(request.context) ?? along;
    return { proposal: request.proposal, text, statements: [{ text: request.proposal, quote: '' }], checkable: false };
  }
  const asked = description.trim() === '' ? request.proposal : description;
  const source = sourceOf(input, goal?.input);
  const material = [
    goal?.description ?? '',
    description,
    ...leavesOf([input, goal?.input, dependencies], MATERIAL_MAX),
  ];
  const claims = statementsIn(result);
  if (claims.length > 0) {
    return { proposal: asked, text: source ?? material.join('\n'), statements: claims, checkable: true };
  }
  const made = typeof result === 'string' ? result : JSON.stringify(result);
  const statements = leavesOf(result, RESULT_MAX).map((text) => ({ text, quote: '' }));
  return { proposal: `${asked}\n\n${made}`, text: material.join('\n'), statements, checkable: false };
}

function clip(text: string, length: number): string {
  return text.slice(0, length).toWellFormed();
}
