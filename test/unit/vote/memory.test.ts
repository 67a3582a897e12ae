/** The bus, the store and the clock that other tests stand on. */
import { describe, expect, it } from 'vitest';
import { encode } from '../../../shared/protocol/codec.ts';
import { MemoryBroker, type MemoryBrokerOptions, seededRandom, VirtualClock } from '../../support/memory-bus.ts';
import { MemoryDag, type MemoryDagOptions } from '../../support/memory-dag.ts';
import { subjects } from './fixture.ts';

describe('VirtualClock', () => {
  it('runs events by time, those of one time in the order in which they were planned, and no cancelled one', async () => {
    const clock = new VirtualClock(1_000);
    const ran: string[] = [];
    const plan = (name: string, delayMs: number) => clock.after(delayMs, () => ran.push(`${name}@${clock.now()}`));
    plan('c', 30);
    const cancel = plan('never', 15);
    plan('a', 10);
    plan('b', 10);
    clock.after(10, () => plan('later', 5));
    cancel();
    cancel();
    expect(clock.pending).toBe(4);
    await clock.advance(20);
    expect({ ran, now: clock.now(), pending: clock.pending }).toEqual({
      ran: ['a@1010', 'b@1010', 'later@1015'],
      now: 1_020,
      pending: 1,
    });
    await clock.run();
    expect(ran.at(-1)).toBe('c@1030');
  });

  it('keeps thousands of events in order', async () => {
    const clock = new VirtualClock(0);
    const random = seededRandom(5);
    const times: number[] = [];
    for (let index = 0; index < 3_000; index += 1)
      clock.after(Math.floor(random() * 500), () => times.push(clock.now()));
    await clock.advance(500);
    expect(times).toEqual(times.toSorted((one, other) => one - other));
    expect(times).toHaveLength(3_000);
  });

  it('gives up on events that feed themselves', async () => {
    const clock = new VirtualClock();
    const again = () => void clock.after(1, again);
    again();
    await expect(clock.run(() => false, 100)).rejects.toThrow('more than 100');
  });
});

function wire(options: Omit<MemoryBrokerOptions, 'clock'> = {}) {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock, ...options });
  const heard: string[] = [];
  const hear = (name: string, pattern: string, queue?: string) =>
    broker
      .connect(name)
      .subscribe(pattern, ({ subject }) => heard.push(`${name}:${subject}`), queue === undefined ? {} : { queue });
  return { clock, broker, heard, hear, sender: broker.connect('sender') };
}

describe('MemoryBroker', () => {
  it('delivers by wildcard, later, in order, and to the publisher as well', async () => {
    const { clock, heard, hear, sender } = wire();
    hear('one', 'a.*');
    hear('rest', 'a.>');
    hear('literal', 'a.b');
    sender.subscribe('a.b.c', ({ subject }) => heard.push(`sender:${subject}`));
    for (const subject of ['a', 'a.b', 'a.b.c', 'b.b']) sender.publish(subject, encode(1));
    expect(heard).toEqual([]);
    await clock.run();
    expect(heard).toEqual(['one:a.b', 'rest:a.b', 'literal:a.b', 'rest:a.b.c', 'sender:a.b.c']);
  });

  it('gives a message to one of each queue', async () => {
    const { clock, heard, hear, sender } = wire();
    for (const name of ['q1', 'q2', 'q3']) hear(name, 'work', 'q');
    hear('other', 'work', 'p');
    for (let count = 0; count < 30; count += 1) sender.publish('work', encode(count));
    await clock.run();
    expect(heard.filter((line) => line.startsWith('other'))).toHaveLength(30);
    expect(heard).toHaveLength(60);
    expect(new Set(heard).size).toBe(4);
  });

  it('delivers nothing after unsubscribe or close, and takes nothing from a closed connection', async () => {
    const { clock, broker, heard, hear, sender } = wire();
    const unsubscribe = hear('gone', 'a');
    const closing = broker.connect('closing');
    closing.subscribe('a', () => heard.push('closing'));
    sender.publish('a', encode(1));
    unsubscribe();
    closing.close();
    await clock.run();
    expect(heard).toEqual([]);
    expect(() => closing.publish('a', encode(1))).toThrow('closing: the connection is closed');
    expect(broker.subscriptions).toBe(0);
  });

  it('hands on reply and headers, and bytes of its own', async () => {
    const { clock, broker, sender } = wire();
    const data = encode('text');
    const seen: unknown[] = [];
    broker.connect('r').subscribe('a', (message) => {
      seen.push(
        message.reply,
        message.header('TraceParent'),
        message.header('none'),
        new TextDecoder().decode(message.data),
      );
    });
    sender.publish('a', data, { reply: 'back', headers: { traceparent: 't' } });
    data.fill(0);
    await clock.run();
    expect(seen).toEqual(['back', 't', undefined, '"text"']);
  });

  it('loses, doubles and reorders as it is told, and counts it', async () => {
    const faults = { loss: 0.2, duplicate: 0.2, delay: 0.3, delayMsMax: 50 };
    const { clock, broker, sender } = wire({ faults, random: seededRandom(11) });
    const order: number[] = [];
    broker.connect('r').subscribe('n', ({ data }) => order.push(Number(new TextDecoder().decode(data))));
    for (let index = 0; index < 500; index += 1) sender.publish('n', encode(index));
    await clock.run();
    const { lost, duplicated, delayed } = broker.counts;
    expect(Math.min(lost, duplicated, delayed)).toBeGreaterThan(50);
    expect(order).toHaveLength(500 - lost + duplicated);
    expect(order).not.toEqual(order.toSorted((one, other) => one - other));
  });
});

function dagOf(options: Partial<MemoryDagOptions> = {}) {
  const dag = new MemoryDag({ subjects, ...options });
  const put = (key: string, value: unknown, guard: { expect?: number; dedupe?: string } = {}) => ({
    subject: subjects.dagSubject(key),
    data: encode(value),
    ...guard,
  });
  const value = async (key: string) => {
    const stored = await dag.read(key);
    return stored && [stored.revision, JSON.parse(new TextDecoder().decode(stored.data))];
  };
  return { dag, put, value };
}

describe('MemoryDag', () => {
  it('creates once, and replaces only the revision that is expected', async () => {
    const { dag, put, value } = dagOf();
    expect(await dag.commit([put('task.g.a', 1, { expect: 0 })])).toEqual({ status: 'committed', revisions: [1] });
    expect(await dag.commit([put('task.g.a', 2, { expect: 0 })])).toEqual({ status: 'conflict' });
    expect(await dag.commit([put('task.g.a', 3, { expect: 1 })])).toEqual({ status: 'committed', revisions: [2] });
    expect(await dag.commit([put('task.g.a', 4, { expect: 1 })])).toEqual({ status: 'conflict' });
    expect(await dag.commit([put('task.g.a', 5)])).toEqual({ status: 'committed', revisions: [3] });
    expect(await value('task.g.a')).toEqual([3, 5]);
    expect(await value('task.g.b')).toBeUndefined();
    expect(dag.counts.conflicts).toBe(2);
  });

  it('writes nothing of a transition whose first guard failed, and all but the failed ones otherwise', async () => {
    const { dag, put, value } = dagOf();
    await dag.commit([put('task.g.a', 1)]);
    expect(await dag.commit([put('task.g.a', 2, { expect: 9 }), put('task.g.b', 2)])).toEqual({ status: 'conflict' });
    expect(await value('task.g.b')).toBeUndefined();
    const transition = [
      put('task.g.a', 3, { expect: 1 }),
      put('task.g.a', 4, { expect: 1 }),
      put('task.g.b', 3, { expect: 0 }),
    ];
    expect(await dag.commit(transition)).toEqual({ status: 'committed', revisions: [2, undefined, 3] });
    expect(await value('task.g.a')).toEqual([2, 3]);
  });

  it('drops a repetition within the window, and only there', async () => {
    const clock = new VirtualClock();
    const { dag, put } = dagOf({ clock, dedupeMs: 100 });
    const ready = { ...put('x', 1), subject: subjects.readySubject('echo', 'g', 'a'), dedupe: 'once' };
    const commit = async () => {
      const outcome = dag.commit([ready]);
      await clock.run();
      return outcome;
    };
    expect(await commit()).toEqual({ status: 'committed', revisions: [1] });
    expect(await commit()).toEqual({ status: 'committed', revisions: [1] });
    expect(dag.stream).toHaveLength(1);
    await clock.advance(100);
    expect(await commit()).toEqual({ status: 'committed', revisions: [2] });
    expect(dag.counts.deduplicated).toBe(1);
  });

  it('scans keys by pattern, and never items', async () => {
    const { dag, put } = dagOf();
    const item = { subject: subjects.readySubject('echo', 'g', 'a'), data: encode(1) };
    await dag.commit([put('task.g.a', 1), put('task.g.b', 1), put('task.h.a', 1), put('goal.g', 1), item]);
    expect([...(await dag.scan(['task.g.*'])).keys()]).toEqual(['task.g.a', 'task.g.b']);
    expect([...(await dag.readMany(['goal.g', 'goal.none'])).keys()]).toEqual(['goal.g']);
  });

  it('keeps bytes of its own', async () => {
    const { dag, put, value } = dagOf();
    const write = put('goal.g', 'text');
    const committed = dag.commit([write]);
    write.data.fill(0);
    await committed;
    (await dag.read('goal.g'))?.data.fill(0);
    expect(await value('goal.g')).toEqual([1, 'text']);
  });

  it.each([
    ['refused', 0],
    ['unknown', 3],
  ] as const)('fails %s commits with %i writes standing', async (fault, standing) => {
    const { dag, put } = dagOf({ faults: { [fault]: 1 } });
    const transition = [put('task.g.a', 1, { expect: 0 }), put('task.g.b', 1), put('task.g.c', 1)];
    await expect(dag.commit(transition)).rejects.toThrow('no answer');
    expect(dag.stream).toHaveLength(standing);
    expect(dag.counts[fault]).toBe(1);
  });

  it('tears a transition only after its guard', async () => {
    const { dag, put } = dagOf({ faults: { torn: 1 } });
    const transition = [put('task.g.a', 1, { expect: 0 }), put('task.g.b', 1), put('task.g.c', 1)];
    await expect(dag.commit(transition)).rejects.toThrow(/of 3 writes stand/);
    expect([1, 2]).toContain(dag.stream.length);
    expect(dag.stream[0]?.subject).toBe(subjects.dagSubject('task.g.a'));
    expect(await dag.commit([put('goal.g', 1)])).toMatchObject({ status: 'committed' });
  });
});
