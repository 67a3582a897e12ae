/** `conclave cancel`: the wish to end a goal. */
import { z } from 'zod';
import { isTerminalGoal } from '../../../shared/protocol/goal.ts';
import { type Context, idArgument, withMesh } from '../context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { goalLine } from '../render/goal.ts';
import { safeJson } from '../render/text.ts';
import { unknownGoal, waitForGoal } from '../waiting.ts';

const REASON_MAX = 4_096;

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
      return EXIT.done;
    }
    const goal = await waitForGoal(terminal, mesh, goalId, { timeoutMs, tasks: false });
    terminal.out(json ? safeJson(goal) : goalLine(terminal.screen(), goal, terminal.now()));
    // Whoever cancels wants it cancelled; it may have ended otherwise in the same moment.
    return goal.status === 'cancelled' ? EXIT.done : EXIT.failed;
  });
}
