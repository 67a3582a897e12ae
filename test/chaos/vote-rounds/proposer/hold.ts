/**
 * Holds one proposer's share of the rounds with the product's own proposer.
 *
 * Environment: `NATS_URL`, `MESH`, `SEED`, `ROUNDS`, `SLOT`, `NAME` (of this incarnation: who asks and who stores is on record by it), `FROM` (the first
 * round to hold), `FAILPOINT` and `COUNT` (it ends at the so-manieth time that it passes there; absent: never), `HOW` (the signal for it).
 *
 * Prints `at <round>`: all before it are decided; `told <round> <decision>`; `frozen` before it stops itself.
 */
import { writeSync } from 'node:fs';
import { natsBus } from '../../../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../../../shared/adapters/nats-connect.ts';
import { natsDagStore } from '../../../../shared/adapters/nats-dag.ts';
import type { Bus, DagStore } from '../../../../shared/ports.ts';
import { subjectsOf } from '../../../../shared/protocol/subjects.ts';
import { systemClock } from '../../../../shared/runtime/broker.ts';
import { holdRound, type ProposerDeps } from '../../../../shared/runtime/vote/proposer.ts';
import { CAPABILITY, DEADLINE_MS, type Failpoint, planned } from '../plan.ts';

const AT_ONCE = 48;
/** So long a proposer waits for the other one before it asks in a round that both hold. */
const MEET_MS = 150;
const STDOUT = 1;

type Pass = (failpoint: Failpoint) => void;

export async function holdAll(env: NodeJS.ProcessEnv): Promise<void> {
  const { NATS_URL: url = '', MESH = '', SEED = '', SLOT = '', NAME = '' } = env;
  const rounds = Number(env['ROUNDS']);
  const nc = await connectBroker({ url, name: NAME });
  const subjects = subjectsOf(MESH);
  const pass = passing(env);
  const deps: ProposerDeps = {
    bus: mortalBus(natsBus(nc, [subjects.ballotsOfRounds]), pass),
    store: mortalStore(natsDagStore(nc, subjects), pass),
    clock: systemClock,
    subjects,
    agentId: NAME,
    observer: { asked() {}, counted() {}, rejected() {}, ended() {}, decided() {} },
  };
  const { signal } = new AbortController();
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const underway = new Set<number>();
  let next = Number(env['FROM']);

  // Both at once, or they would seldom meet: one of them is always behind.
  const here = new Map<string, () => void>();
  const meeting = (number: number): string => `${MESH}.meet.${SLOT}.${number}`;
  const others = nc.subscribe(`${MESH}.meet.*.*`, {
    callback: (_error, { subject }) => {
      const [, , slot, number = ''] = subject.split('.');
      if (slot !== SLOT) here.get(number)?.();
    },
  });
  const meet = async (number: number): Promise<void> => {
    await new Promise<void>((resolve) => {
      here.set(String(number), resolve);
      nc.publish(meeting(number));
      systemClock.after(MEET_MS, resolve);
    });
    // Whoever came first was heard by nobody.
    nc.publish(meeting(number));
    here.delete(String(number));
  };

  const hold = async (number: number): Promise<void> => {
    const { heldBy, ...round } = planned(SEED, number);
    if (heldBy.length > 1) await meet(number);
    const spec = { ...round, capability: CAPABILITY, deadlineMs: DEADLINE_MS, correlationId: NAME, signal };
    const { position, reason, ballots } = await holdRound(deps, spec);
    say(`told ${round.roundId} ${position ?? reason ?? ''} by ${ballots.map(({ agent }) => agent).join()}`);
  };
  const work = async (): Promise<void> => {
    for (;;) {
      const number = next;
      if (number > rounds) return;
      next += 1;
      if (!planned(SEED, number).heldBy.includes(SLOT)) continue;
      underway.add(number);
      await hold(number);
      underway.delete(number);
      say(`at ${Math.min(next, ...underway)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  say(`at ${rounds + 1}`);
  others.unsubscribe();
  await nc.drain();
}

function passing({ FAILPOINT, COUNT, HOW }: NodeJS.ProcessEnv): Pass {
  let left = Number(COUNT);
  return (failpoint) => {
    if (failpoint !== FAILPOINT) return;
    left -= 1;
    if (left !== 0) return;
    if (HOW !== 'SIGSTOP') process.kill(process.pid, 'SIGKILL');
    writeSync(STDOUT, 'frozen\n');
    process.kill(process.pid, 'SIGSTOP');
  };
}

function mortalBus(bus: Bus, pass: Pass): Bus {
  return {
    ...bus,
    publish(subject, data, options) {
      pass('before it asks');
      bus.publish(subject, data, options);
      // By then it has left this process.
      setImmediate(pass, 'when it has asked');
    },
    subscribe: (subject, hear) =>
      bus.subscribe(subject, (message) => {
        pass('with a ballot in hand');
        hear(message);
      }),
  };
}

function mortalStore(store: DagStore, pass: Pass): Pick<DagStore, 'commit' | 'read'> {
  return {
    read: (key) => store.read(key),
    async commit(transition) {
      pass('before it stores');
      const storing = store.commit(transition);
      setImmediate(pass, 'when the decision is on its way');
      const outcome = await storing;
      pass('when the decision is stored');
      return outcome;
    },
  };
}
