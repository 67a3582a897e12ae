/** `conclave admin`: what a mesh needs on its broker, and copies of it. */
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { withoutPassword } from '../../../shared/adapters/mesh-client-failure.ts';
import { type Context, withMesh } from '../context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { count } from '../render/text.ts';

const RestoreOptions = z.object({ replicas: z.number().optional() });
const InitOptions = z.object({ replicas: z.number(), capabilities: z.array(z.string()).default([]) });

export async function init(context: Context, _args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal, broker } = context;
  const { replicas, capabilities } = InitOptions.parse(given);
  return withMesh(context, async (mesh) => {
    await mesh.init(replicas, capabilities);
    terminal.out(
      `mesh "${mesh.subjects.mesh}" is ready on ${withoutPassword(broker.url)} (streams that were missing: ${count(replicas, 'replica')})`,
    );
    return EXIT.done;
  });
}

export async function backup(context: Context, [folder = '']: readonly string[]): Promise<ExitCode> {
  return withMesh(context, async (mesh) => {
    for (const { stream, messages, bytes } of await mesh.backup(folder)) {
      context.terminal.out(`${stream}: ${count(messages, 'message')}, ${count(bytes, 'byte')}`);
    }
    return EXIT.done;
  });
}

export async function restore(context: Context, [folder = '']: readonly string[], given: unknown): Promise<ExitCode> {
  const { replicas } = RestoreOptions.parse(given);
  if (!existsSync(folder)) {
    throw new CommandFailure(
      EXIT.usage,
      `folder: expected what "conclave admin backup" wrote, and there is no ${folder}`,
    );
  }
  return withMesh(context, async (mesh) => {
    for (const { stream, messages } of await mesh.restore(folder, replicas)) {
      context.terminal.out(`${stream}: ${count(messages, 'message')}`);
    }
    return EXIT.done;
  });
}
