import { describe, expect, it } from 'vitest';
import { arrange } from '../../../services/cli/render/tree.ts';
import { taskRecord } from './records.ts';

function drawn(graph: Readonly<Record<string, readonly string[]>>): readonly string[] {
  const tasks = Object.entries(graph).map(([taskId, dependencies]) => taskRecord({ taskId, dependencies }));
  return arrange(tasks).map(({ lead, task }) => `${lead}${task.taskId}`);
}

describe('the tree of a goal', () => {
  it('puts a task below the last of those it waits for', () => {
    expect(drawn({ join: ['a', 'b2'], b2: ['b1'], b1: [], a: [] })).toEqual([
      '├─ a',
      '└─ b1',
      '   └─ b2',
      '      └─ join',
    ]);
  });

  it('sorts numbers in names as numbers', () => {
    expect(drawn({ t10: [], t2: [], t1: [] })).toEqual(['├─ t1', '├─ t2', '└─ t10']);
  });

  it('shows every task exactly once, also while those it waits for are not written yet', () => {
    expect(drawn({ c: ['missing', 'a'], a: ['missing'] })).toEqual(['└─ a', '   └─ c']);
  });

  it('does not lose or repeat tasks of a graph that should not exist', () => {
    expect(
      [...drawn({ a: ['b'], b: ['a'], c: [] })]
        .map((line) => line.at(-1))
        .toSorted((x, y) => String(x).localeCompare(String(y))),
    ).toEqual(['a', 'b', 'c']);
  });

  it('draws ten thousand tasks side by side', () => {
    const lines = drawn(Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`t${n}`, []])));
    expect(lines).toHaveLength(10_000);
    expect(lines.at(-1)).toBe('└─ t9999');
  });

  it('draws ten thousand steps without walking off the screen or the stack', () => {
    const chain = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`t${n}`, n === 0 ? [] : [`t${n - 1}`]]));
    const lines = drawn(chain);
    expect(lines).toHaveLength(10_000);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(50);
  });
});
