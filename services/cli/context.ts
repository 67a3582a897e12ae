/** What every command is given, and the way from it to a mesh. */
import type { MeshClient, MeshOptions } from '../../shared/adapters/mesh-client.ts';
import { isId } from '../../shared/protocol/ids.ts';
import { BROKER_SETTINGS } from '../../shared/runtime/broker-settings.ts';
import { CommandFailure, EXIT, type ExitCode } from './failure.ts';
import { safeLine } from './render/text.ts';
import type { Terminal } from './terminal.ts';

export interface Context {
  readonly terminal: Terminal;
  readonly broker: MeshOptions;
}

/** A command: its arguments and options as the command line gave them; resolves to the exit code. */
export type Command = (context: Context, args: readonly string[], options: unknown) => Promise<ExitCode>;

/**
 * Connects, runs, and closes whatever happens.
 *
 * @throws CommandFailure: usage for settings that cannot be right, unreachable for a broker or a mesh that is not there, failed for one that
 *   says no.
 */
export async function withMesh(context: Context, work: (mesh: MeshClient) => Promise<ExitCode>): Promise<ExitCode> {
  const { url, mesh, credsFile, caFile, nkeySeed } = context.broker;
  if (!isId(mesh)) {
    throw new CommandFailure(
      EXIT.usage,
      `MESH: expected 1 to 64 characters of A-Z a-z 0-9 _ -, got ${JSON.stringify(mesh)}`,
    );
  }
  // The client takes these for a broker that does not answer.
  check('NATS_URL', url);
  check('NATS_CREDS', credsFile);
  check('NATS_CA', caFile);
  check('NATS_NKEY_SEED', nkeySeed);
  const { openMesh } = await import('../../shared/adapters/mesh-client.ts');
  const { explainFailure, MeshDenied, MeshUnavailable, RecordUnreadable } = await import(
    '../../shared/adapters/mesh-client-failure.ts'
  );
  let client: MeshClient | undefined;
  try {
    client = await openMesh(context.broker);
    return await work(client);
  } catch (error) {
    const explained = explainFailure(error, context.broker);
    if (explained instanceof MeshUnavailable)
      throw new CommandFailure(EXIT.unreachable, safeLine(explained.message), { cause: error });
    if (explained instanceof MeshDenied || explained instanceof RecordUnreadable) {
      throw new CommandFailure(EXIT.failed, safeLine(explained.message), { cause: error });
    }
    throw explained;
  } finally {
    await client?.close();
  }
}

function check(name: keyof typeof BROKER_SETTINGS, value: string | undefined): void {
  const { accepts, fits } = BROKER_SETTINGS[name];
  if (value === undefined || fits(value)) return;
  const isSecret = name === 'NATS_NKEY_SEED' || value.includes('@');
  const came = isSecret ? 'something else' : JSON.stringify(value);
  throw new CommandFailure(EXIT.usage, `${name}: expected ${accepts}, got ${came}`);
}

/** The id that stands at `index` of a command's arguments. */
export function idArgument(args: readonly string[], index: number, what: string): string {
  const value = args[index];
  if (isId(value)) return value;
  throw new CommandFailure(
    EXIT.usage,
    `${what}: expected 1 to 64 characters of A-Z a-z 0-9 _ -, got ${JSON.stringify(value ?? '')}`,
  );
}
