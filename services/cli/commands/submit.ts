/** `conclave submit`: hands a goal in, and waits for its end when asked to. */
import { z } from 'zod';
import type { MeshClient } from '../../../shared/adapters/mesh-client.ts';
import { type Receipt, SubmissionTooLarge } from '../../../shared/adapters/mesh-client-submit.ts';
import { encode, fit } from '../../../shared/protocol/codec.ts';
import { type EndedGoal, GoalSubmission, isTerminalGoal } from '../../../shared/protocol/goal.ts';
import { INLINE_BYTES_MAX, isBlobRef } from '../../../shared/protocol/ids.ts';
import { type Context, withMesh } from '../context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { readInput, readTasks } from '../input.ts';
import { errorLine, goalLine, resultText } from '../render/goal.ts';
import { safeJson } from '../render/text.ts';
import { withTraces } from '../tracing.ts';
import { exitCodeOf, waitForGoal } from '../waiting.ts';

type Submission = z.input<typeof GoalSubmission>;

const Options = z.object({
  input: z.string().optional(),
  pattern: z.string().optional(),
  tasks: z.string().optional(),
  goalId: z.string().optional(),
  onTaskFailure: z.string().optional(),
  replans: z.number().optional(),
  budgetUsd: z.number().optional(),
  budgetTokens: z.number().optional(),
  budgetMessages: z.number().optional(),
  wallMs: z.number().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  wait: z.boolean().default(false),
  timeoutMs: z.number().optional(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof Options>;

export async function submit(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const options = Options.parse(given);
  if (options.timeoutMs !== undefined && !options.wait) {
    throw new CommandFailure(EXIT.usage, '--timeout-ms limits the waiting: give --wait too');
  }
  const submission = await submissionOf(context, args[0] ?? '', options);
  return withMesh(context, async (mesh) => {
    const stored = await storeLargeInputs(mesh, submission);
    await warnOfRepetition(context, mesh, submission.goalId);
    const receipt = await handIn(context, mesh, stored);
    if (!options.wait) {
      terminal.out(options.json ? safeJson(receipt) : receipt.goalId);
      return EXIT.done;
    }
    terminal.note(`submitted goal ${receipt.goalId}`);
    const goal = await waitForGoal(terminal, mesh, receipt.goalId, { timeoutMs: options.timeoutMs, tasks: false });
    if (options.json) terminal.out(safeJson(goal));
    else await printEnd(context, mesh, goal);
    return exitCodeOf(goal);
  });
}

async function handIn(context: Context, mesh: MeshClient, submission: Submission): Promise<Receipt> {
  return withTraces(context, async ({ tracing }, above) => {
    const span = tracing.begin(above);
    try {
      const receipt = await mesh.submit(submission, span?.traceparent ?? above);
      span?.end({ kind: 'submit', subject: mesh.subjects.goalsSubmit, goalId: receipt.goalId });
      return receipt;
    } catch (error) {
      if (error instanceof SubmissionTooLarge) throw new CommandFailure(EXIT.usage, error.message, { cause: error });
      throw error;
    }
  });
}

/** @throws CommandFailure (usage) with what of it does not fit. */
async function submissionOf({ terminal }: Context, description: string, options: Options): Promise<Submission> {
  if (options.input === '-' && options.tasks === '-') {
    throw new CommandFailure(EXIT.usage, '--input and --tasks: only one of them can be standard input');
  }
  const budget = {
    ...(options.budgetUsd === undefined ? {} : { usd: options.budgetUsd }),
    ...(options.budgetTokens === undefined ? {} : { tokens: options.budgetTokens }),
    ...(options.budgetMessages === undefined ? {} : { messages: options.budgetMessages }),
    ...(options.wallMs === undefined ? {} : { wallMs: options.wallMs }),
  };
  const { goalId, pattern, onTaskFailure, replans, metadata } = options;
  const fields = {
    description,
    ...(goalId === undefined ? {} : { goalId }),
    ...(pattern === undefined ? {} : { pattern }),
    ...(onTaskFailure === undefined ? {} : { onTaskFailure }),
    ...(replans === undefined ? {} : { replans }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(Object.keys(budget).length === 0 ? {} : { budget }),
    ...(options.input === undefined ? {} : { input: await readInput(terminal, options.input) }),
    ...(options.tasks === undefined ? {} : { tasks: await readTasks(terminal, options.tasks) }),
  };
  const fitted = fit(GoalSubmission, fields);
  if (!fitted.ok) throw new CommandFailure(EXIT.usage, `this is no goal that a mesh accepts: ${fitted.message}`);
  return fitted.value;
}

/** Inputs over 512 KiB, the goal's and its tasks', become references. */
async function storeLargeInputs(mesh: MeshClient, submission: Submission): Promise<Submission> {
  const place = async <T extends { readonly input?: Submission['input'] }>(holder: T): Promise<T> => {
    if (holder.input === undefined) return holder;
    const bytes = encode(holder.input);
    return bytes.length <= INLINE_BYTES_MAX ? holder : { ...holder, input: { $blob: await mesh.blobs.put(bytes) } };
  };
  const { tasks, ...goal } = await place(submission);
  if (tasks === undefined) return goal;
  const placed: typeof tasks = [];
  for (const task of tasks) placed.push(await place(task));
  return { ...goal, tasks: placed };
}

async function warnOfRepetition({ terminal }: Context, mesh: MeshClient, goalId: string | undefined): Promise<void> {
  const before = goalId === undefined ? undefined : await mesh.goal(goalId);
  if (before === undefined) return;
  const state = isTerminalGoal(before) ? `ended (${before.status})` : before.status;
  terminal.note(`goal ${before.goalId} is there already, ${state}: this submission will be ignored`);
}

/** The result on stdout; how it ended on stderr. */
async function printEnd({ terminal }: Context, mesh: MeshClient, goal: EndedGoal): Promise<void> {
  // stderr may go elsewhere, so it gets no colours.
  const plain = { width: Number.POSITIVE_INFINITY, paint: (_: string, text: string) => text };
  terminal.note(goalLine(plain, goal, terminal.now()));
  if ('error' in goal) terminal.note(errorLine(plain, goal.error));
  if ('result' in goal && goal.result !== undefined) terminal.out(resultText(await resolved(mesh, goal.result)));
}

/** The value that a blob reference stands for; the reference itself when the blob is gone or holds no JSON. */
async function resolved(mesh: MeshClient, result: unknown): Promise<unknown> {
  if (!isBlobRef(result)) return result;
  const bytes = await mesh.blobs.get(result.$blob);
  if (bytes === undefined) return result;
  const { decodeJson } = await import('../../../shared/protocol/codec.ts');
  const decoded = decodeJson(bytes);
  return decoded.ok ? decoded.value : result;
}
