/** `conclave admin`: what a mesh needs on its broker. */
import { z } from 'zod';
import { withoutPassword } from '../../../shared/adapters/mesh-client-failure.ts';
import { type Context, withMesh } from '../context.ts';
import { EXIT, type ExitCode } from '../failure.ts';
import { count } from '../render/text.ts';

const Options = z.object({ replicas: z.number(), capabilities: z.array(z.string()).default([]) });

export async function init(context: Context, _args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal, broker } = context;
  const { replicas, capabilities } = Options.parse(given);
  return withMesh(context, async (mesh) => {
    await mesh.init(replicas, capabilities);
    terminal.out(
      `mesh "${mesh.subjects.mesh}" is ready on ${withoutPassword(broker.url)} (streams that were missing: ${count(replicas, 'replica')})`,
    );
    return EXIT.done;
  });
}
