/** What each agent may do, as its own manifest says: the service is asked, not read, so that agents of the user's own work the same way. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { Id } from '../../shared/protocol/ids.ts';

const Described = z.object({ role: Id, capabilities: z.array(Id), mayMessage: z.array(Id) });

/** `count` processes of the service in `folder`, e.g. `services/echo`. */
export interface Wanted {
  readonly folder: string;
  readonly count: number;
}

export interface Identity {
  readonly agentId: string;
  readonly role: string;
  readonly capabilities: readonly string[];
  /** Agent ids and capabilities. */
  readonly receivers: readonly string[];
}

/** Asks every service for its manifest. Throws Error with the service's own words when it does not answer. */
export async function identitiesOf(wanted: readonly Wanted[]): Promise<readonly Identity[]> {
  const described = await Promise.all(
    wanted.map(async (one) => ({ ...(await describe(one.folder)), count: one.count })),
  );
  const ids = described.flatMap(({ role, count }) => numbered(role, count));
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new Error(`expected one service of a role, got two that would be ${twice}`);
  return described.flatMap(({ role, count, capabilities, mayMessage }) => {
    // A role is reached by the ids of its agents, a capability by its name, or, with a question to one of them, by the ids of those that have it.
    const idsOf = (agents: typeof described): string[] => agents.flatMap((other) => numbered(other.role, other.count));
    const receivers = mayMessage.flatMap((name) => {
      const agents = described.filter((other) => other.role === name);
      if (agents.length > 0) return idsOf(agents);
      return [name, ...idsOf(described.filter((other) => other.capabilities.includes(name)))];
    });
    return numbered(role, count).map((agentId) => ({ agentId, role, capabilities, receivers }));
  });
}

/** A program that is no agent may just start. */
const ANSWER_MS = 15_000;

function numbered(role: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${role}-${index + 1}`);
}

async function describe(folder: string): Promise<z.infer<typeof Described>> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [`${folder}/main.ts`, '--manifest'], {
      timeout: ANSWER_MS,
    });
    return Described.parse(JSON.parse(stdout));
  } catch (error) {
    const said = error instanceof Error ? error.message.split('\n').slice(0, 2).join(' ') : String(error);
    throw new Error(`${folder}: expected its manifest from "node ${folder}/main.ts --manifest", got: ${said}`, {
      cause: error,
    });
  }
}
