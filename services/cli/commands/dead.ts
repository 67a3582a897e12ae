/** `conclave dead`: what could not be worked on, and sending it again. */
import { z } from 'zod';
import type { MeshClient } from '../../../shared/adapters/mesh-client.ts';
import type { StoredLetter } from '../../../shared/adapters/mesh-client-dead.ts';
import { type Context, withMesh } from '../context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { deadTable } from '../render/dead.ts';
import { jsonArray, safeLine } from '../render/text.ts';
import type { Terminal } from '../terminal.ts';

const Options = z.object({
  goal: z.string().optional(),
  code: z.string().optional(),
  origin: z.string().optional(),
  id: z.array(z.number()).optional(),
  all: z.boolean().default(false),
  json: z.boolean().default(false),
});

export async function dead(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const { id, all, json, ...filter } = Options.parse(given);
  const redrives = args[0] === 'redrive';
  const some = Object.values(filter).some((wanted) => wanted !== undefined);
  const named = [id !== undefined, all, some].filter((is) => is).length;
  if (redrives ? named !== 1 : id !== undefined || all) {
    throw new CommandFailure(
      EXIT.usage,
      'expected "dead list [--goal, --code, --origin]", or "dead redrive" with --id, with --all, or with some of --goal, --code and --origin',
    );
  }
  return withMesh(context, async (mesh) => {
    if (id !== undefined) return redrive(terminal, mesh, await chosen(mesh, id));
    const letters = (await everyLetter(terminal, mesh)).filter((stored) => fits(stored, filter));
    if (redrives) return redrive(terminal, mesh, letters);
    if (json) terminal.out(jsonArray(letters.map(({ sequence, letter }) => ({ id: sequence, ...letter }))));
    else if (letters.length > 0) terminal.out(deadTable(terminal.screen(), letters, terminal.now()));
    else terminal.note(`mesh "${mesh.subjects.mesh}" has no ${some ? 'such ' : ''}dead letters`);
    return EXIT.done;
  });
}

type Filter = Pick<z.infer<typeof Options>, 'goal' | 'code' | 'origin'>;

function fits({ letter }: StoredLetter, { goal, code, origin }: Filter): boolean {
  return (
    (goal === undefined || letter.goalId === goal) &&
    (code === undefined || letter.reason.code === code) &&
    (origin === undefined || letter.origin === origin)
  );
}

async function everyLetter(terminal: Terminal, mesh: MeshClient): Promise<readonly StoredLetter[]> {
  const letters: StoredLetter[] = [];
  for await (const stored of mesh.dead.list()) {
    if ('letter' in stored) letters.push(stored);
    else terminal.note(`dead letter ${stored.sequence} does not fit the protocol: ${safeLine(stored.unreadable)}`);
  }
  return letters;
}

async function chosen(mesh: MeshClient, ids: readonly number[]): Promise<readonly StoredLetter[]> {
  const letters: StoredLetter[] = [];
  for (const id of new Set(ids)) {
    const stored = await mesh.dead.find(id);
    if (stored === undefined) {
      throw new CommandFailure(
        EXIT.failed,
        `there is no dead letter ${id}; nothing was sent (to see those that are there: conclave dead list)`,
      );
    }
    letters.push(stored);
  }
  return letters;
}

/** Each letter by itself: one that cannot be sent again must not keep the others. */
async function redrive(terminal: Terminal, mesh: MeshClient, letters: readonly StoredLetter[]): Promise<ExitCode> {
  let kept = 0;
  for (const stored of letters) {
    const outcome = await mesh.dead.redrive(stored);
    if (outcome.done) {
      terminal.out(
        outcome.goalId === undefined
          ? `letter ${stored.sequence} went to ${safeLine(outcome.subject)} again`
          : `letter ${stored.sequence}: goal ${safeLine(stored.letter.goalId ?? '')} runs again as ${safeLine(outcome.goalId)}`,
      );
      continue;
    }
    kept += 1;
    terminal.note(`letter ${stored.sequence} is kept: ${safeLine(outcome.why)}`);
  }
  if (letters.length === 0) terminal.note('there are no such dead letters');
  return kept === 0 ? EXIT.done : EXIT.failed;
}
