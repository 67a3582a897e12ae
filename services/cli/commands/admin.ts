/** `conclave admin`: what a mesh needs on its broker, and copies of it. */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
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
    emptyFolder(folder);
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

/** Makes the folder where there is none. @throws CommandFailure, when it cannot be what a backup is written to. */
function emptyFolder(folder: string): void {
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(
      EXIT.usage,
      `folder: expected one that can be made and written to, got ${folder} (${reason})`,
    );
  }
  if (readdirSync(folder).length > 0) {
    throw new CommandFailure(EXIT.usage, `folder: expected a new or an empty one, and ${folder} holds something`);
  }
}

/** Not by `recursive`, which never returns where a folder is there and takes none, as in /proc (Node 24). */
function makeFolder(folder: string): void {
  if (existsSync(folder) && statSync(folder).isDirectory()) return;
  if (!existsSync(dirname(folder))) makeFolder(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}
