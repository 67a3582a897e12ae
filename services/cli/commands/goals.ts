/** `conclave goals`: the newest goals of a mesh. */
import { z } from 'zod';
import { RecordUnreadable } from '../../../shared/adapters/mesh-client-failure.ts';
import { type GoalRecord, GoalStatus } from '../../../shared/protocol/goal.ts';
import { type Context, withMesh } from '../context.ts';
import { EXIT, type ExitCode } from '../failure.ts';
import { goalTable } from '../render/goal.ts';
import { jsonArray, safeLine } from '../render/text.ts';

const Options = z.object({ status: GoalStatus.optional(), limit: z.number(), json: z.boolean().default(false) });

export async function goals(context: Context, _args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const { status, limit, json } = Options.parse(given);
  return withMesh(context, async (mesh) => {
    const newest = new Map<string, GoalRecord>();
    for await (const goal of mesh.goals()) {
      if (goal instanceof RecordUnreadable) {
        terminal.note(safeLine(goal.message));
        continue;
      }
      // A goal that changes while we read comes twice.
      newest.delete(goal.goalId);
      if (status !== undefined && goal.status !== status) continue;
      newest.set(goal.goalId, lean(goal, json));
      // Bounded, whatever the mesh has seen.
      if (newest.size >= 2 * limit + 100) for (const old of sorted(newest).slice(limit)) newest.delete(old.goalId);
    }
    const listed = sorted(newest).slice(0, limit);
    if (json) terminal.out(jsonArray(listed));
    else if (listed.length > 0) terminal.out(goalTable(terminal.screen(), listed, terminal.now()));
    else
      terminal.note(
        `mesh "${mesh.subjects.mesh}" has no ${status === undefined ? 'goals' : `${status} goals`} (to submit one: conclave submit "...")`,
      );
    return EXIT.done;
  });
}

function sorted(records: ReadonlyMap<string, GoalRecord>): readonly GoalRecord[] {
  return [...records.values()].sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0));
}

/** Inputs and results are large and not in the table. */
function lean(goal: GoalRecord, whole: boolean): GoalRecord {
  if (whole) return goal;
  const { input: _input, ...shown } = goal;
  return 'result' in shown ? { ...shown, result: null } : shown;
}
