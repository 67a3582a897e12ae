/** When looks at a join begin, and what they serve: reads are answered by hand here, in an order that no broker promises and none forbids. */
import { describe, expect, it } from 'vitest';
import { encode } from '../../../shared/protocol/codec.ts';
import { subjectsOf } from '../../../shared/protocol/subjects.ts';
import type { DagStore, Stored } from '../../../shared/ports.ts';
import { joinsOf } from '../../../shared/runtime/engine/joins.ts';
import { memoryOf } from '../../../shared/runtime/engine/memory.ts';

const subjects = subjectsOf('m');

/** A store whose reads wait until they are answered with what stands at that moment. */
function storeByHand() {
  const completed = new Set<string>();
  const waiting: (() => void)[] = [];
  const recordOf = (key: string): Stored => {
    const taskId = key.split('.').at(-1) ?? '';
    const status = completed.has(taskId) ? 'completed' : 'pending';
    return { data: encode({ goalId: 'g', taskId, status, result: taskId }), revision: 1 };
  };
  const unused = (): never => {
    throw new Error('not part of a look');
  };
  const store: DagStore = {
    commit: unused,
    commitUnless: unused,
    scan: unused,
    // What the leader knew when it was asked, told whenever the answer comes.
    read: (key) => {
      const stood = recordOf(key);
      return new Promise((resolve) => waiting.push(() => resolve(stood)));
    },
    readMany: (keys) => {
      const stood = new Map(keys.map((key) => [key, recordOf(key)]));
      return new Promise((resolve) => waiting.push(() => resolve(stood)));
    },
  };
  return {
    store,
    complete: (taskId: string) => completed.add(taskId),
    asked: () => waiting.length,
    /** Answers every read, also those that follow from answers, until nobody asks any more. */
    async answer() {
      for (let idle = 0; idle < 5; ) {
        const reads = waiting.splice(0);
        for (const read of reads) read();
        await new Promise((resolve) => setImmediate(resolve));
        idle = reads.length === 0 ? idle + 1 : 0;
      }
    },
  };
}

function setUp() {
  const leader = storeByHand();
  const joins = joinsOf({ store: leader.store, subjects }, memoryOf());
  let releases = 0;
  const finish = (): Promise<boolean> => {
    return joins.whenComplete('g', 'join', ['a', 'b', 'c'], () => Promise.resolve(void (releases += 1)));
  };
  return { leader, joins, finish, releases: () => releases };
}

const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('looks at a join', () => {
  it('looks once more for what was completed while a look was under way', async () => {
    const { leader, finish, releases } = setUp();
    leader.complete('a');
    leader.complete('b');
    const first = finish();
    // The leader has answered the first look, but its answer is still on its way when the last one is through.
    leader.complete('c');
    const last = finish();
    await leader.answer();
    expect(await Promise.all([first, last])).toEqual([false, true]);
    expect(releases()).toBe(1);
  });

  it('waits for the completions under way and serves them all with one look', async () => {
    const { leader, joins, finish, releases } = setUp();
    let stands = (): void => undefined;
    const commit = new Promise<void>((resolve) => (stands = resolve));
    const last = joins.gathering('g', commit).then(finish);
    for (const taskId of ['a', 'b']) leader.complete(taskId);
    const others = [finish(), finish()];
    await turns();
    expect(leader.asked()).toBe(0);
    leader.complete('c');
    stands();
    await leader.answer();
    expect(await Promise.all([...others, last])).toEqual([true, true, true]);
    expect(releases()).toBe(1);
  });

  it('looks also when a completion that it waits for fails, and does not wait for those of other goals', async () => {
    const { leader, joins, finish } = setUp();
    void joins.gathering('other', new Promise(() => undefined));
    const failing = joins.gathering('g', Promise.reject(new Error('fenced off'))).catch(String);
    for (const taskId of ['a', 'b', 'c']) leader.complete(taskId);
    const look = finish();
    await leader.answer();
    expect(await look).toBe(true);
    expect(await failing).toBe('Error: fenced off');
  });
});
