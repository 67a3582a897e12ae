/** Many short subscriptions of one kind on a real connection: by one subscription to the whole kind while that is worth it. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import type { Bus } from '../../shared/ports.ts';
import type { Subjects } from '../../shared/protocol/subjects.ts';
import { type BrokerMesh, brokerMesh, type Connection } from './parts.ts';

/** More than enough at once for a subscription to the whole kind. */
const MANY = 40;

let mesh: BrokerMesh;
let subjects: Subjects;
let nc: Connection;
let bus: Bus;
let speaker: Connection;
let heard: string[];

beforeEach(async () => {
  mesh = await brokerMesh();
  ({ subjects } = mesh);
  nc = await mesh.connect('proposer');
  bus = natsBus(nc, [subjects.ballotsOfRounds]);
  speaker = await mesh.connect('speaker');
  heard = [];
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
  return mesh.end();
});

/** What was opened and heard in the last second is looked at. */
const nextWindow = () => vi.advanceTimersByTime(1_000);

function listen(round: string, who = round): () => void {
  return bus.subscribe(subjects.ballotsOfRound(round), ({ subject }) => heard.push(`${who} ${subject}`));
}

const said = (round: string, who = round): string => `${who} ${subjects.ballot(round, 'v1')}`;
const rounds = (prefix: string): string[] => Array.from({ length: MANY }, (_, index) => `${prefix}${index}`);

/** One ballot in each round, and everything of it has arrived. */
async function speak(names: readonly string[]): Promise<void> {
  await bus.flush();
  for (const round of names) speaker.publish(subjects.ballot(round, 'v1'), 'yes');
  await speaker.flush();
  await bus.flush();
}

/** Whether what nobody here listens to arrives all the same. */
async function hearsForeign(): Promise<boolean> {
  const before = nc.stats().inMsgs;
  await speak(['foreign']);
  return nc.stats().inMsgs > before;
}

describe('short subscriptions', () => {
  it('hear each what is theirs, once, from the first to the last, and nothing when they are over', async () => {
    const names = rounds('r');
    const ends = names.map((name) => listen(name));
    expect(await hearsForeign()).toBe(true);
    await speak(names);
    expect(heard.splice(0).toSorted()).toEqual(names.map((name) => said(name)).toSorted());
    for (const [index, end] of ends.entries()) if (index % 2 === 0) end();
    await speak(names);
    expect(heard.splice(0)).toHaveLength(MANY / 2);
    for (const end of ends) end();
    await speak(names);
    expect(heard).toEqual([]);
  });

  it('of one subject hear both', async () => {
    for (const name of rounds('r')) listen(name);
    const end = listen('r39', 'again');
    await speak(['r39']);
    expect(heard.splice(0).toSorted()).toEqual([said('r39', 'again'), said('r39', 'r39')]);
    end();
    await speak(['r39']);
    expect(heard).toEqual([said('r39')]);
  });

  it('of which there are few hear nothing else', async () => {
    const end = listen('r');
    await speak(['r']);
    expect(heard.splice(0)).toEqual([said('r')]);
    expect(await hearsForeign()).toBe(false);
    end();
    await speak(['r']);
    expect(heard).toEqual([]);
  });

  it('stop hearing what is meant for others when they come no more, but for those that last', async () => {
    const others = rounds('r');
    for (const end of others.map((name) => listen(name))) end();
    const endLast = listen('last');
    nextWindow();
    nextWindow();
    await speak(['last']);
    expect(heard).toEqual([said('last')]);
    endLast();
    expect(await hearsForeign()).toBe(false);
  });

  it('are each by itself for a while when most of what came was meant for others', async () => {
    const busy = async (): Promise<boolean> => {
      const names = rounds('r');
      const ends = names.map((name) => listen(name));
      const hears = await hearsForeign();
      await speak(names);
      expect(heard.splice(0).toSorted()).toEqual(names.map((name) => said(name)).toSorted());
      for (const end of ends) end();
      return hears;
    };
    expect(await busy()).toBe(true);
    await speak(Array.from({ length: MANY * 10 }, (_, index) => `crowd${index}`));
    nextWindow();
    expect(await busy()).toBe(false);
    vi.advanceTimersByTime(60_000);
    expect(await busy()).toBe(true);
  });
});
