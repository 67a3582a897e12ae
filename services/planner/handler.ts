/** Goal -> plan. A model proposes, code decides what of it can be run, and a fixed plan stands in when nothing usable comes. */
import { z } from 'zod';
import {
  type Before,
  FALLBACK_CAPABILITIES,
  fallbackAnew,
  fallbackPlan,
  plannable,
  planFrom,
  type Surroundings,
} from '../../shared/core/plan.ts';
import type { Presence } from '../../shared/protocol/agent.ts';
import { Pattern } from '../../shared/protocol/goal.ts';
import { Plan, PLAN_TASK, ReplanRequest } from '../../shared/protocol/plan.ts';
import { HandlerError, type TaskContext } from '../../shared/runtime/context.ts';
import { capability, type Manifest } from '../../shared/runtime/manifest.ts';
import { type Anew, planQuestion } from './prompt.ts';

/** Proposals a model may make for one goal: the second one knows what was wrong with the first (I10). */
const PROPOSALS_MAX = 2;
/** Attempts that a model which does not answer costs before the fixed plan is used: its outage may be over by the next one. */
const UNAVAILABLE_ATTEMPTS = 2;
/** Characters of the goal that the model reads. */
const GOAL_LENGTH_MAX = 8_000;
/** Characters of a finished task's result that the model reads. */
const EXCERPT_LENGTH_MAX = 300;
/** Leaves room for the number of the step in an id of 64 characters. */
const PREFIX_LENGTH_MAX = 56;

type Proposal = { readonly ok: true; readonly plan: Plan } | { readonly ok: false; readonly reason: string };

export async function makePlan(context: TaskContext): Promise<Plan> {
  const asked = context.taskId === PLAN_TASK ? undefined : ReplanRequest.safeParse(context.input).data;
  if (asked !== undefined) return planAnew(context, asked.replan);
  const goal = await context.goal();
  const around = surroundingsOf(await context.agents(), goal);
  const proposal = await propose(context, goal.description, around);
  if (proposal.ok) return proposal.plan;
  if (!FALLBACK_CAPABILITIES.some((name) => around.capabilities.has(name))) {
    throw new HandlerError(
      'unplannable',
      `expected a live agent for one of ${FALLBACK_CAPABILITIES.join(', ')}, found none, and ${proposal.reason}; start such an agent or submit the goal with tasks`,
    );
  }
  // A step whose agents are away right now is kept: its work item waits for them, within the goal's deadline.
  const missing = FALLBACK_CAPABILITIES.filter((name) => !around.capabilities.has(name));
  context.log.warn(
    { event: 'plan.fallback', reason: proposal.reason, missing },
    'the fixed three steps stand in for a plan of the model',
  );
  return fallbackPlan(goal.description, around, proposal.reason);
}

/** Another plan of what a failure left undone. Its tasks are named after the task that planned them. */
async function planAnew(context: TaskContext, anew: ReplanRequest['replan']): Promise<Plan> {
  const goal = await context.goal();
  const capabilities = (parts: readonly { readonly capability: string }[]): ReadonlySet<string> =>
    new Set(parts.map((part) => part.capability));
  const before: Before = {
    prefix: `${context.taskId.slice(0, PREFIX_LENGTH_MAX)}-`,
    tasks: new Set([...anew.finished, ...anew.running].map(({ taskId }) => taskId)),
    failed: capabilities(anew.failed),
    finished: capabilities(anew.finished),
  };
  const around = { ...surroundingsOf(await context.agents(), goal), before };
  const finished = anew.finished.map((part) => ({ ...part, result: excerptOf(context.dependencies[part.taskId]) }));
  const proposal = await propose(context, goal.description, around, { ...anew, finished });
  if (proposal.ok) return proposal.plan;
  const plan = fallbackAnew(goal.description, around, before, proposal.reason);
  if (plan === undefined)
    throw new HandlerError(
      'unplannable',
      `there is no other way that does not need what failed, and ${proposal.reason}`,
      {
        retry: false,
      },
    );
  context.log.warn({ event: 'plan.fallback', reason: proposal.reason }, 'what is left of the fixed steps stands in');
  return plan;
}

function excerptOf(result: unknown): string {
  return (JSON.stringify(result) ?? '').slice(0, EXCERPT_LENGTH_MAX).toWellFormed();
}

function surroundingsOf(
  agents: readonly Presence[],
  goal: { readonly pattern: string; readonly onTaskFailure: string },
): Surroundings {
  return {
    capabilities: plannable(agents.flatMap((agent) => agent.capabilities)),
    reviewers: agents.filter((agent) => agent.capabilities.includes('review')).length,
    pattern: Pattern.parse(goal.pattern),
    continues: goal.onTaskFailure === 'continue',
  };
}

async function propose(context: TaskContext, goal: string, around: Surroundings, anew?: Anew): Promise<Proposal> {
  if (around.capabilities.size === 0) return { ok: false, reason: 'no agent that could do a step is alive' };
  let problem: string | undefined;
  for (let proposals = 0; proposals < PROPOSALS_MAX; proposals += 1) {
    const question = planQuestion({
      goal: goal.slice(0, GOAL_LENGTH_MAX).toWellFormed(),
      pattern: around.pattern,
      capabilities: [...around.capabilities].toSorted(),
      problem,
      anew,
    });
    try {
      const answer = await context.ask(question);
      const planned = planFrom(answer.value.steps, around);
      if (planned.ok) return planned;
      problem = planned.problem.message;
      context.log.info(
        { event: 'plan.refused', code: planned.problem.code, problem },
        'the model proposed a plan that cannot be run',
      );
    } catch (error) {
      return { ok: false, reason: reasonToDoWithout(error, context) };
    }
  }
  return { ok: false, reason: `the model's plan cannot be run: ${problem ?? 'no proposal'}` };
}

/** Why the model is given up on for this goal; anything that another attempt, the user or the runtime must deal with is thrown on. */
function reasonToDoWithout(error: unknown, { attempt, signal }: TaskContext): string {
  if (!(error instanceof HandlerError) || signal.aborted) throw error;
  switch (error.code) {
    case 'invalid_output':
    case 'model_refused':
      return `${error.code}: ${error.message}`;
    case 'model_unavailable':
      if (attempt < UNAVAILABLE_ATTEMPTS) throw error;
      return `${error.code}: ${error.message}`;
    default:
      // Above all `budget_exceeded`: a goal that may not pay for its plan may not pay for its work either (I4).
      throw error;
  }
}

export const manifest: Manifest = {
  role: 'planner',
  responsibility: 'Splits a goal into tasks that live agents can do.',
  version: '1.0.0',
  capabilities: {
    plan: capability({
      description: 'Splits a goal into a graph of tasks for the agents that are alive',
      input: z.unknown(),
      output: Plan,
      estimate: { inputTokens: 400, outputTokens: 300 },
      run: makePlan,
    }),
  },
  mayMessage: [],
  usesModel: true,
  limits: { slots: 4 },
};
