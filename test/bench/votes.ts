/** Votes of five, over real connections: the real proposer with and without its decision stored, and on core NATS one request, and one with three answers. */
import { fileURLToPath } from 'node:url';
import { connect, createInbox } from '@nats-io/transport-node';
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../shared/adapters/nats-connect.ts';
import { natsDagStore } from '../../shared/adapters/nats-dag.ts';
import type { DagStore } from '../../shared/ports.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { systemClock } from '../../shared/runtime/broker.ts';
import { holdRound } from '../../shared/runtime/vote/proposer.ts';
import { type Child, endChild, startChild } from './children.ts';
import { MESH } from './mesh.ts';
import { PAYLOAD, RAW_REQUEST, RAW_VOTE } from './raw-stages.ts';
import type { Runner } from './scenarios.ts';

const PROCESS = fileURLToPath(new URL('./voters.ts', import.meta.url));
const VOTERS = ['v1', 'v2', 'v3', 'v4', 'v5'];
const QUORUM = 3;
const DEADLINE_MS = 60_000;

export interface Votes {
  /** Two of the five sleep; nothing is stored. */
  readonly unstored: Runner<object>;
  /** Two of the five sleep; the decision is stored. */
  readonly stored: Runner<object>;
  /** All five answer; the decision is stored. */
  readonly awake: Runner<object>;
  /** One core NATS request and its answer, as the client library makes it: `nc.request`. */
  readonly request: Runner<object>;
  /** The same by hand: a publish, and one subscription for all answers, without the client's timer and promises. */
  readonly requestByHand: Runner<object>;
  /** One core NATS request that five answer, until three have. */
  readonly three: Runner<object>;
  readonly voters: Child;
  stop(): Promise<void>;
}

/** The mesh's streams must exist. */
export async function startVotes(url: string): Promise<Votes> {
  const env = { NATS_URL: url, MESH, VOTERS: VOTERS.join(), AWAKE: String(QUORUM) };
  const voters = await startChild([PROCESS], env, 'voters.ready');
  const proposer = await startProposer(url);
  const asker = await startAsker(url);
  return {
    unstored: proposer.holding('sleepy', false),
    stored: proposer.holding('sleepy', true),
    awake: proposer.holding('bench', true),
    request: asker.request,
    requestByHand: asker.until(RAW_REQUEST, 1),
    three: asker.until(RAW_VOTE, QUORUM),
    voters,
    async stop() {
      await Promise.all([proposer.close(), asker.close(), endChild(voters)]);
    },
  };
}

async function startProposer(url: string) {
  const nc = await connectBroker({ url, name: 'proposer' });
  const ignore = () => undefined;
  const observer = { asked: ignore, counted: ignore, rejected: ignore, ended: ignore, decided: ignore };
  const subjects = subjectsOf(MESH);
  // As an agent opens it.
  const store = natsDagStore(nc, subjects, { measureFlush: true });
  const nowhere: Pick<DagStore, 'commit' | 'read'> = {
    read: () => Promise.resolve(undefined),
    commit: (writes) => Promise.resolve({ status: 'committed', revisions: writes.map(() => 1) }),
  };
  const common = {
    bus: natsBus(nc, [subjects.ballotsOfRounds]),
    clock: systemClock,
    subjects,
    agentId: 'proposer',
    observer,
  };
  const { signal } = new AbortController();
  let rounds = 0;
  return {
    holding(capability: string, stores: boolean): Runner<object> {
      const deps = { ...common, store: stores ? store : nowhere };
      return {
        async run() {
          rounds += 1;
          const roundId = `r${rounds}`;
          const { position, reason } = await holdRound(deps, {
            roundId,
            capability,
            proposal: 'x'.repeat(PAYLOAD.length),
            options: ['approve', 'reject'],
            rule: { method: 'majority' },
            roster: VOTERS,
            deadlineMs: DEADLINE_MS,
            correlationId: roundId,
            signal,
            fresh: true,
          });
          if (position !== 'approve') throw new Error(`round ${roundId}: expected approve, got ${reason ?? 'reject'}`);
          return { status: position, at: performance.now() };
        },
      };
    },
    close: () => nc.close(),
  };
}

async function startAsker(url: string) {
  const nc = await connect({ servers: url, noAsyncTraces: true });
  const inbox = createInbox();
  const rounds = new Map<string, { missing: number; decided: () => void }>();
  nc.subscribe(`${inbox}.*`, {
    callback: (error, { subject }) => {
      const round = rounds.get(subject);
      if (error !== null || round === undefined) return;
      round.missing -= 1;
      if (round.missing > 0) return;
      rounds.delete(subject);
      round.decided();
    },
  });
  let asked = 0;
  return {
    request: {
      async run() {
        await nc.request(RAW_REQUEST, PAYLOAD, { timeout: DEADLINE_MS });
        return { status: 'answered', at: performance.now() };
      },
    },
    until: (subject: string, answers: number): Runner<object> => ({
      async run() {
        asked += 1;
        const reply = `${inbox}.${asked}`;
        const decided = new Promise<void>((resolve) => rounds.set(reply, { missing: answers, decided: resolve }));
        nc.publish(subject, PAYLOAD, { reply });
        await decided;
        return { status: 'approve', at: performance.now() };
      },
    }),
    close: () => nc.close(),
  };
}
