/** `conclave cancel`: the wish to end a goal, and what the mesh has confirmed of it. */
import { z } from 'zod';
import { isTerminalGoal } from '../../../shared/protocol/goal.ts';
import { isTerminalTask } from '../../../shared/protocol/task.ts';
import type { MeshClient } from '../../../shared/adapters/mesh-client.ts';
import { type Context, idArgument, withMesh } from '../context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { goalLine } from '../render/goal.ts';
import { count, duration, safeJson } from '../render/text.ts';
import type { Terminal } from '../terminal.ts';
import { unknownGoal, waitForGoal } from '../waiting.ts';

const REASON_MAX = 4_096;
/** PROTOCOL: a cancelled goal is terminal within this while agents are alive. */
const CONFIRM_MS = 5_000;
/** Agents that live answer within this, and are asked again. */
const ASK_MS = 500;
const OPEN_SHOWN = 10;

const Options = z.object({
  reason: z.string().default(''),
  wait: z.boolean().default(false),
  timeoutMs: z.number().optional(),
  json: z.boolean().default(false),
});

export async function cancel(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const goalId = idArgument(args, 0, 'goalId');
  const { reason, wait, timeoutMs, json } = Options.parse(given);
  if (!wait && (timeoutMs !== undefined || json)) {
    throw new CommandFailure(EXIT.usage, '--timeout-ms and --json are about the goal that has ended: give --wait too');
  }
  if (reason.length > REASON_MAX) {
    throw new CommandFailure(EXIT.usage, `--reason: expected at most ${REASON_MAX} characters, got ${reason.length}`);
  }
  return withMesh(context, async (mesh) => {
    const before = await mesh.goal(goalId);
    if (before === undefined && !(await mesh.hasReceipt(goalId))) throw unknownGoal(mesh, goalId);
    if (before !== undefined && isTerminalGoal(before)) {
      if (json) terminal.out(safeJson(before));
      terminal.note(`goal ${goalId} is ${before.status} already; there is nothing to cancel`);
      return before.status === 'cancelled' ? EXIT.done : EXIT.failed;
    }
    await mesh.cancel({ goalId, reason });
    if (!wait) {
      terminal.out(`asked the mesh to cancel goal ${goalId}`);
      await confirm(terminal, mesh, goalId);
      return EXIT.done;
    }
    const goal = await waitForGoal(terminal, mesh, goalId, { timeoutMs, tasks: false });
    terminal.out(json ? safeJson(goal) : goalLine(terminal.screen(), goal, terminal.now()));
    await confirm(terminal, mesh, goalId);
    // Whoever cancels wants it cancelled; it may have ended otherwise in the same moment.
    return goal.status === 'cancelled' ? EXIT.done : EXIT.failed;
  });
}

/** Says what is over, as the agents themselves say it, and lists what nobody has confirmed in time. What comes of that does not count any more. */
async function confirm(terminal: Terminal, mesh: MeshClient, goalId: string): Promise<void> {
  const startedAt = performance.now();
  const left = (): number => startedAt + CONFIRM_MS - performance.now();
  const ended = await endOf(terminal, mesh, goalId, left);
  if (!ended) return;
  const cancelled = (await mesh.tasks(goalId)).filter((task) => task.status === 'cancelled');
  const ran = new Map(
    cancelled.flatMap((task) =>
      task.status === 'cancelled' && task.agentId !== undefined ? [[task.taskId, task.agentId] as const] : [],
    ),
  );
  const open = new Map(ran);
  const answered = new Set<string>();
  while (open.size > 0 && left() > 0) {
    const answers = await mesh.running(new Set(open.values()), Math.min(ASK_MS, left()));
    for (const agentId of answers.keys()) answered.add(agentId);
    for (const [taskId, agentId] of open)
      if (answers.get(agentId)?.has(`${goalId}.${taskId}`) === false) open.delete(taskId);
  }
  const took = duration(performance.now() - startedAt);
  terminal.note(
    `goal ${goalId} is over: cancelled ${count(cancelled.length - ran.size, 'task')} that had not begun, stopped ${ran.size - open.size} of ${count(ran.size, 'running task')}, as their agents confirm (${took})`,
  );
  for (const [taskId, agentId] of open) {
    const why = answered.has(agentId) ? 'still works on it' : 'does not answer';
    terminal.note(`not confirmed: task ${taskId}, agent ${agentId} ${why}; its result will not count`);
  }
}

/** Whether the goal is terminal in time; what keeps it is said. */
async function endOf(terminal: Terminal, mesh: MeshClient, goalId: string, left: () => number): Promise<boolean> {
  const goal = await mesh.goal(goalId);
  if (goal !== undefined && isTerminalGoal(goal)) return true;
  if ((await mesh.agents.list()).length === 0) {
    terminal.note('not confirmed: no agent is present; the first that comes cancels it');
    return false;
  }
  try {
    await waitForGoal(terminal, mesh, goalId, { timeoutMs: Math.max(1, left()), tasks: false });
    return true;
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.exitCode !== EXIT.waitedTooLong) throw error;
    const tasks = (await mesh.tasks(goalId)).filter((task) => !isTerminalTask(task));
    terminal.note(
      `not confirmed within ${duration(CONFIRM_MS)}: the goal is not over yet; ${count(tasks.length, 'open task')}${tasks
        .slice(0, OPEN_SHOWN)
        .map(({ taskId, status }) => `, ${taskId} is ${status}`)
        .join('')} (to look: conclave watch ${goalId})`,
    );
    return false;
  }
}
