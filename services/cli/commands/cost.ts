/** `conclave cost`: what a goal cost, and what it was expected to. */
import { z } from 'zod';
import { type Context, idArgument, withMesh } from '../context.ts';
import { EXIT, type ExitCode } from '../failure.ts';
import { costReport } from '../cost-report.ts';
import { costPage } from '../render/cost.ts';
import { safeJson } from '../render/text.ts';
import { requireGoal } from '../waiting.ts';

const Options = z.object({ json: z.boolean().default(false) });

export async function cost(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const goalId = idArgument(args, 0, 'goalId');
  const { json } = Options.parse(given);
  return withMesh(context, async (mesh) => {
    const goal = await requireGoal(mesh, goalId);
    const [tasks, ledger] = await Promise.all([mesh.tasks(goalId), mesh.ledger(goalId)]);
    const report = costReport(goal, tasks, ledger);
    terminal.out(json ? safeJson({ ...goal, report }) : costPage(terminal.screen(), goal, tasks, report));
    return EXIT.done;
  });
}
