/** Votes of five, over real connections: the real proposer, whose decision is stored, and a request on core NATS that counts three answers. */
import { fileURLToPath } from 'node:url';
import { connect, createInbox } from '@nats-io/transport-node';
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../shared/adapters/nats-connect.ts';
import { natsDagStore } from '../../shared/adapters/nats-dag.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { systemClock } from '../../shared/runtime/broker.ts';
import { holdRound } from '../../shared/runtime/vote/proposer.ts';
import { type Child, endChild, startChild } from './children.ts';
import { MESH } from './mesh.ts';
import { PAYLOAD, RAW_VOTE } from './raw-stages.ts';
import type { Runner } from './scenarios.ts';

const PROCESS = fileURLToPath(new URL('./voters.ts', import.meta.url));
const VOTERS = ['v1', 'v2', 'v3', 'v4', 'v5'];
const QUORUM = 3;
const DEADLINE_MS = 60_000;

export interface Votes {
  readonly conclave: Runner<object>;
  readonly raw: Runner<object>;
  readonly voters: Child;
  stop(): Promise<void>;
}

/** The mesh's streams must exist. */
export async function startVotes(url: string): Promise<Votes> {
  const voters = await startChild([PROCESS], { NATS_URL: url, MESH, VOTERS: VOTERS.join() }, 'voters.ready');
  const conclave = await startProposer(url);
  const raw = await startAsker(url);
  return {
    conclave: conclave.runner,
    raw: raw.runner,
    voters,
    async stop() {
      await Promise.all([conclave.close(), raw.close(), endChild(voters)]);
    },
  };
}

interface Side {
  readonly runner: Runner<object>;
  close(): Promise<void>;
}

async function startProposer(url: string): Promise<Side> {
  const nc = await connectBroker({ url, name: 'proposer' });
  const ignore = () => undefined;
  const observer = { asked: ignore, counted: ignore, rejected: ignore, decided: ignore };
  const subjects = subjectsOf(MESH);
  const store = natsDagStore(nc, subjects);
  const deps = { bus: natsBus(nc), store, clock: systemClock, subjects, agentId: 'proposer', observer };
  const { signal } = new AbortController();
  let rounds = 0;
  return {
    runner: {
      async run() {
        rounds += 1;
        const roundId = `r${rounds}`;
        const { position, reason } = await holdRound(deps, {
          roundId,
          capability: 'bench',
          proposal: 'x'.repeat(PAYLOAD.length),
          options: ['approve', 'reject'],
          rule: { method: 'majority' },
          roster: VOTERS,
          deadlineMs: DEADLINE_MS,
          correlationId: roundId,
          signal,
        });
        if (position !== 'approve') throw new Error(`round ${roundId}: expected approve, got ${reason ?? 'reject'}`);
        return { status: position, at: performance.now() };
      },
    },
    close: () => nc.close(),
  };
}

async function startAsker(url: string): Promise<Side> {
  const nc = await connect({ servers: url, noAsyncTraces: true });
  const inbox = createInbox();
  const rounds = new Map<string, { answers: number; decided: () => void }>();
  nc.subscribe(`${inbox}.*`, {
    callback: (error, { subject }) => {
      const round = rounds.get(subject);
      if (error !== null || round === undefined) return;
      round.answers += 1;
      if (round.answers < QUORUM) return;
      rounds.delete(subject);
      round.decided();
    },
  });
  let asked = 0;
  return {
    runner: {
      async run() {
        asked += 1;
        const reply = `${inbox}.${asked}`;
        const decided = new Promise<void>((resolve) => rounds.set(reply, { answers: 0, decided: resolve }));
        nc.publish(RAW_VOTE, PAYLOAD, { reply });
        await decided;
        return { status: 'approve', at: performance.now() };
      },
    },
    close: () => nc.close(),
  };
}
