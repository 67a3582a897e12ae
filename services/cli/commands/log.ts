/** `conclave log`: what the log stream holds of a goal. */
import { z } from 'zod';
import { type Context, idArgument, withMesh } from '../context.ts';
import { EXIT, type ExitCode } from '../failure.ts';
import { logLine } from '../render/log.ts';
import { safeJson } from '../render/text.ts';
import { requireGoal } from '../waiting.ts';

const Options = z.object({ json: z.boolean().default(false) });

export async function log(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const goalId = idArgument(args, 0, 'goalId');
  const { json } = Options.parse(given);
  return withMesh(context, async (mesh) => {
    const goal = await requireGoal(mesh, goalId);
    for await (const entry of mesh.log(goal)) {
      if (terminal.signal.aborted) return EXIT.interrupted;
      terminal.out(
        json ? safeJson({ ...entry, at: new Date(entry.at).toISOString() }) : logLine(terminal.screen(), entry),
      );
    }
    return EXIT.done;
  });
}
