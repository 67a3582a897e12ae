/** `conclave show`: a goal, its tasks and its result as they stand; or one task. */
import { z } from 'zod';
import { type Context, idArgument, withMesh } from '../context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { accountOf } from '../cost-report.ts';
import { goalPage } from '../render/goal.ts';
import { safeJson } from '../render/text.ts';
import { taskPage } from '../render/task.ts';
import { requireGoal } from '../waiting.ts';

const Options = z.object({ json: z.boolean().default(false) });

export async function show(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const goalId = idArgument(args, 0, 'goalId');
  const taskId = args[1] === undefined ? undefined : idArgument(args, 1, 'taskId');
  const { json } = Options.parse(given);
  return withMesh(context, async (mesh) => {
    const goal = await requireGoal(mesh, goalId);
    if (taskId !== undefined) {
      const task = await mesh.task(goalId, taskId);
      if (task === undefined) {
        throw new CommandFailure(
          EXIT.failed,
          `goal ${goalId} has no task "${taskId}" (to see those it has: conclave show ${goalId})`,
        );
      }
      terminal.out(json ? safeJson(task) : taskPage(terminal.screen(), task, terminal.now()));
      return EXIT.done;
    }
    if (json) {
      terminal.out(safeJson(goal));
      return EXIT.done;
    }
    const [tasks, agents, ledger, revisions] = await Promise.all([
      mesh.tasks(goalId),
      mesh.agents.list(),
      mesh.ledger(goalId),
      'revision' in goal ? mesh.revisions(goalId) : [],
    ]);
    const page = goalPage(terminal.screen(), goal, tasks, agents, terminal.now(), accountOf(ledger), revisions);
    terminal.out(page);
    return EXIT.done;
  });
}
