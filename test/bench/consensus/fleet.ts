/** The voters' processes. Each holds several voters, and can be killed and replaced by one with the same voters. */
import { fileURLToPath } from 'node:url';
import { type Child, endChild, killChild, startChild } from '../children.ts';
import { type Panel, rosterOf } from './panel.ts';

const PROCESS = fileURLToPath(new URL('./voters/main.ts', import.meta.url));

export interface FleetOptions {
  readonly url: string;
  readonly mesh: string;
  readonly seed: string;
  readonly processes: number;
  readonly panels: readonly Panel[];
}

export interface Killed {
  readonly processes: number;
  readonly voters: number;
}

export interface Fleet {
  /** Killed so far: processes, and the voters in them. */
  readonly killed: Killed;
  /** SIGKILL for the process of this voter, and a new one for it. False: it is not up, or another one is not back yet. */
  kill(voter: string): boolean;
  /** @throws what kept a process that was killed from coming back. */
  stop(): Promise<void>;
}

export async function startFleet({ url, mesh, seed, processes, panels }: FleetOptions): Promise<Fleet> {
  const voters = [...new Set(panels.flatMap(rosterOf))];
  // Neighbours in a roster live in different processes.
  const crews = Array.from({ length: processes }, (_, crew) =>
    voters.filter((__, index) => index % processes === crew),
  );
  const start = (crew: readonly string[]): Promise<Child> =>
    startChild(
      [PROCESS],
      { NATS_URL: url, MESH: mesh, SEED: seed, VOTERS: crew.join(), PANELS: JSON.stringify(panels) },
      'voters.ready',
    );
  const children = await Promise.all(crews.map(start));
  let returning: Promise<void> | undefined;
  let failure: Error | undefined;
  let killed: Killed = { processes: 0, voters: 0 };

  const replace = async (index: number, crew: readonly string[], child: Child): Promise<void> => {
    await killChild(child);
    children[index] = await start(crew);
  };
  return {
    get killed() {
      return killed;
    },
    kill(voter) {
      const index = crews.findIndex((crew) => crew.includes(voter));
      const [crew, child] = [crews[index], children[index]];
      if (returning !== undefined || crew === undefined || child === undefined) return false;
      killed = { processes: killed.processes + 1, voters: killed.voters + crew.length };
      returning = replace(index, crew, child)
        .catch((error: unknown) => {
          failure = error instanceof Error ? error : new Error(String(error), { cause: error });
        })
        .finally(() => {
          returning = undefined;
        });
      return true;
    },
    async stop() {
      await returning;
      await Promise.all(children.map(endChild));
      if (failure !== undefined) throw failure;
    },
  };
}
