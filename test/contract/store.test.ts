/** The DAG store: what the simulation proves on the one in memory must hold on the real one. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DagStore, Write } from '../../shared/ports.ts';
import { encode } from '../../shared/protocol/codec.ts';
import { KINDS, type Member, type Parts } from './parts.ts';

describe.each(KINDS)('the DAG store on %s', (_name, open) => {
  let parts: Parts;
  let one: Member;
  let other: Member;
  /** Store calls, in memory with time passing. */
  let store: DagStore;

  beforeEach(async () => {
    parts = await open();
    one = await parts.member('one');
    other = await parts.member('other');
    const timed = (of: DagStore): DagStore => ({
      commit: (transition) => parts.during(of.commit(transition)),
      commitUnless: (transition, doubt) => parts.during(of.commitUnless(transition, doubt)),
      read: (key) => parts.during(of.read(key)),
      readMany: (keys) => parts.during(of.readMany(keys)),
      scan: (patterns) => parts.during(of.scan(patterns)),
    });
    store = timed(one.store);
  });
  afterEach(() => parts.end());

  const put = (key: string, value: unknown, expected?: number): Write => ({
    subject: parts.subjects.dagSubject(key),
    data: encode(value),
    ...(expected === undefined ? {} : { expect: expected }),
  });
  const item = (taskId: string, dedupe?: string): Write => ({
    subject: parts.subjects.readySubject('echo', 'g', taskId),
    data: encode({ taskId }),
    ...(dedupe === undefined ? {} : { dedupe }),
  });
  const valueOf = async (key: string): Promise<unknown> => {
    const stored = await store.read(key);
    return stored === undefined ? undefined : JSON.parse(new TextDecoder().decode(stored.data));
  };
  const committed = async (...writes: readonly Write[]): Promise<(number | undefined)[]> => {
    const outcome = await store.commit(writes);
    if (outcome.status !== 'committed')
      throw new Error(`expected the transition to be committed, got ${outcome.status}`);
    return [...outcome.revisions];
  };

  it('creates a key once', async () => {
    const [revision] = await committed(put('goal.g', 'first', 0));
    expect(await store.read('goal.g')).toMatchObject({ revision });
    expect(await store.commit([put('goal.g', 'second', 0)])).toEqual({ status: 'conflict' });
    expect(await valueOf('goal.g')).toBe('first');
  });

  it('moves a key from the revision that was read, and from no other', async () => {
    const [first = 0] = await committed(put('goal.g', 'first', 0));
    const [second = 0] = await committed(put('goal.g', 'second', first));
    expect(second).toBeGreaterThan(first);
    expect(await store.commit([put('goal.g', 'stale', first)])).toEqual({ status: 'conflict' });
    expect(await store.commit([put('goal.g', 'early', second + 1)])).toEqual({ status: 'conflict' });
    expect(await valueOf('goal.g')).toBe('second');
  });

  it('writes at most the guard of a transition whose doubt comes true, and all of it otherwise', async () => {
    const held = await store.commitUnless(
      [put('goal.g', 'doubtful', 0), put('task.g.a', 'mine', 0)],
      Promise.resolve(true),
    );
    const standing = await store.read('goal.g');
    expect(held).toEqual({ status: 'held', revision: standing?.revision });
    expect(await valueOf('task.g.a')).toBeUndefined();
    const sure = [put('goal.g', 'sure', standing?.revision ?? 0), put('task.g.a', 'mine', 0)];
    expect(await store.commitUnless(sure, Promise.resolve(false))).toMatchObject({ status: 'committed' });
    expect([await valueOf('goal.g'), await valueOf('task.g.a')]).toEqual(['sure', 'mine']);
    expect(await store.commitUnless([put('goal.g', 'late', 0)], Promise.resolve(true))).toEqual({ status: 'conflict' });
  });

  it('writes nothing of a transition whose first guard fails', async () => {
    await parts.queue('echo');
    await committed(put('task.g.a', 'standing', 0));
    expect(await store.commit([put('task.g.a', 'mine', 0), put('task.g.b', 'mine', 0), item('b')])).toEqual({
      status: 'conflict',
    });
    expect([await valueOf('task.g.a'), await valueOf('task.g.b')]).toEqual(['standing', undefined]);
    expect(await parts.state('echo')).toMatchObject({ waiting: 0 });
  });

  it('lets later writes stand or fall one by one, and says which did', async () => {
    await committed(put('task.g.taken', 'standing', 0));
    const revisions = await committed(
      put('task.g.a', 1, 0),
      put('task.g.taken', 2, 0),
      put('task.g.b', 3, 0),
      item('b'),
    );
    expect(revisions.map((revision) => revision !== undefined)).toEqual([true, false, true, true]);
    expect(await store.read('task.g.b')).toMatchObject({ revision: revisions[2] });
    expect(await valueOf('task.g.taken')).toBe('standing');
  });

  it('gives the revisions of all writes in their order, those of items too', async () => {
    await parts.queue('echo');
    const sequences: number[] = [];
    const pull = one.pull('echo', (delivery) => {
      sequences.push(delivery.sequence);
      delivery.ack();
    });
    pull.request(2);
    const [guard = 0, a = 0, b = 0] = await committed(put('goal.g', 1, 0), item('a'), item('b'));
    expect(guard < a && a < b).toBe(true);
    await parts.until('both items arrived', () => sequences.length === 2);
    expect(sequences).toEqual([a, b]);
    await pull.stop();
  });

  it('drops a repeated item of the same dedupe id, and says where the first one is', async () => {
    await parts.queue('echo');
    const [first] = await committed(item('a', 'once'));
    expect(await committed(item('a', 'once'))).toEqual([first]);
    await committed(item('a', 'another'));
    expect(await parts.state('echo')).toMatchObject({ waiting: 2 });
  });

  it('refuses an empty transition', async () => {
    await expect(store.commit([])).rejects.toThrow('empty');
  });

  it('shows each process what the other wrote, at once', async () => {
    const [revision = 0] = await committed(put('goal.g', 'one', 0));
    expect(await parts.during(other.store.read('goal.g'))).toMatchObject({ revision });
    expect(await parts.during(other.store.commit([put('goal.g', 'other', revision)]))).toMatchObject({
      status: 'committed',
    });
    expect(await valueOf('goal.g')).toBe('other');
  });

  it('reads what is there and leaves out what is not', async () => {
    await committed(put('task.g.a', 1, 0));
    await committed(put('task.g.b', 2, 0));
    expect(await store.read('task.g.none')).toBeUndefined();
    expect([...(await store.readMany(['task.g.b', 'task.g.none', 'task.g.a'])).keys()].toSorted()).toEqual([
      'task.g.a',
      'task.g.b',
    ]);
    expect((await store.readMany([])).size).toBe(0);
    const many = Array.from({ length: 300 }, (_, index) => `task.g.n${index}`);
    expect((await store.readMany([...many, 'task.g.a'])).size).toBe(1);
  });

  it('scans the last revision of every key of a pattern, and of no other', async () => {
    const [first = 0] = await committed(put('task.g.a', 'old', 0));
    await committed(put('task.g.a', 'new', first));
    await committed(put('task.g.b', 'b', 0), item('b'), put('goal.g', 'goal', 0), put('task.other.a', 'x', 0));
    const found = await store.scan(['task.g.*']);
    expect([...found.keys()].toSorted()).toEqual(['task.g.a', 'task.g.b']);
    expect(new TextDecoder().decode(found.get('task.g.a')?.data)).toBe('"new"');
    expect((await store.scan(['task.nothing.*'])).size).toBe(0);
  });

  it('scans as many keys as it is given, those that are not there left out', async () => {
    const keys = Array.from({ length: 2_100 }, (_, index) => `task.g.k${index}`);
    const there = keys.filter((_, index) => index % 7 === 0);
    for (const key of there) await committed(put(key, key, 0));
    await committed(put('task.g.other', 'other', 0));
    const found = await store.scan(keys);
    expect([...found.keys()].toSorted()).toEqual(there.toSorted());
    expect((await store.scan([])).size).toBe(0);
  });

  it('commits 512 transitions at once: those with a stale guard fail, every other stands whole', async () => {
    await parts.queue('echo');
    const stale = (index: number): boolean => index % 8 === 3;
    for (let index = 0; index < 512; index += 1)
      if (stale(index)) await committed(put(`task.g.t${index}`, 'standing', 0));
    const both = [one.store, other.store];
    const outcomes = await parts.during(
      Promise.all(
        Array.from({ length: 512 }, (_, index) =>
          (both[index % 2] ?? one.store).commit([
            put(`task.g.t${index}`, { index }, 0),
            put(`task.g.after${index}`, { index }, 0),
            item(`t${index}`),
          ]),
        ),
      ),
    );
    const failed = outcomes.flatMap(({ status }, index) => (status === 'conflict' ? [index] : []));
    expect(failed).toEqual(Array.from({ length: 512 }, (_, index) => index).filter(stale));
    const found = await store.scan(['task.g.*']);
    for (const [index, outcome] of outcomes.entries()) {
      expect(found.has(`task.g.after${index}`), `transition ${index}`).toBe(!stale(index));
      if (outcome.status !== 'committed') continue;
      expect(found.get(`task.g.t${index}`)?.revision).toBe(outcome.revisions[0]);
      expect(found.get(`task.g.after${index}`)?.revision).toBe(outcome.revisions[1]);
    }
    expect(await parts.state('echo')).toMatchObject({ waiting: 448 });
  });

  it('lets exactly one of many writers on one key win, again and again', async () => {
    let revision = 0;
    for (let round = 0; round < 10; round += 1) {
      const expected = revision;
      const outcomes = await parts.during(
        Promise.all(
          Array.from({ length: 16 }, (_, writer) =>
            (writer % 2 === 0 ? one : other).store.commit([put('goal.hot', { round, writer }, expected)]),
          ),
        ),
      );
      const won = outcomes.flatMap((outcome) => (outcome.status === 'committed' ? [outcome.revisions[0]] : []));
      expect(won.length).toBe(1);
      revision = won[0] ?? 0;
    }
  });
});
