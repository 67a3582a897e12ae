/** `conclave agents`: who is present. */
import { z } from 'zod';
import { type Context, withMesh } from '../context.ts';
import { EXIT, type ExitCode } from '../failure.ts';
import { agentTable } from '../render/agents.ts';
import { jsonArray } from '../render/text.ts';

const Options = z.object({ json: z.boolean().default(false) });

export async function agents(context: Context, _args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const { json } = Options.parse(given);
  return withMesh(context, async (mesh) => {
    const present = (await mesh.agents.list()).toSorted((a, b) => (a.agentId < b.agentId ? -1 : 1));
    if (json) terminal.out(jsonArray(present));
    else if (present.length > 0) terminal.out(agentTable(terminal.screen(), present, terminal.now()));
    else
      terminal.note(`no agent of mesh "${mesh.subjects.mesh}" is present (to start one: node services/<name>/main.ts)`);
    return EXIT.done;
  });
}
