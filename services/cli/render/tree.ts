/** The order in which a goal's tasks are shown: a task stands below the last of the tasks it waits for. */
import { validateGraph } from '../../../shared/core/dag.ts';
import type { TaskRecord } from '../../../shared/protocol/task.ts';

export interface Branch {
  readonly task: TaskRecord;
  /** Box drawing that leads to the task. */
  readonly lead: string;
}

/** Deeper levels are drawn at this depth: a chain of a thousand steps must not walk off the screen. */
const DEPTH_MAX = 10;

export function arrange(tasks: readonly TaskRecord[]): readonly Branch[] {
  const byId = new Map(tasks.map((task) => [task.taskId, task]));
  // While a plan is being written, some tasks are there before those they wait for.
  const known = tasks.map(({ taskId, dependencies }) => ({
    taskId,
    dependencies: dependencies.filter((id) => byId.has(id)),
  }));
  const valid = validateGraph(known.toSorted((a, b) => compare(a.taskId, b.taskId)));
  const order = valid.ok ? valid.order : [...byId.keys()].sort(compare);
  const dependencies = new Map(known.map((node) => [node.taskId, node.dependencies]));

  const depths = new Map<string, number>();
  const children = new Map<string | undefined, string[]>();
  for (const taskId of order) {
    const above = (dependencies.get(taskId) ?? []).filter((id) => depths.has(id));
    const parent = above.reduce<string | undefined>(
      (best, id) => (best === undefined || (depths.get(id) ?? 0) > (depths.get(best) ?? 0) ? id : best),
      undefined,
    );
    depths.set(taskId, parent === undefined ? 0 : (depths.get(parent) ?? 0) + 1);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [taskId]);
    else siblings.push(taskId);
  }
  return walk(byId, children);
}

function walk(
  byId: ReadonlyMap<string, TaskRecord>,
  children: ReadonlyMap<string | undefined, readonly string[]>,
): readonly Branch[] {
  const branches: Branch[] = [];
  // Not recursive: the depth is that of the graph, which may be ten thousand.
  const stack: { taskId: string; depth: number; indent: string; last: boolean }[] = [];
  const open = (parent: string | undefined, depth: number, indent: string) => {
    const ids = children.get(parent) ?? [];
    for (let index = ids.length - 1; index >= 0; index -= 1) {
      const taskId = ids[index];
      if (taskId !== undefined) stack.push({ taskId, depth, indent, last: index === ids.length - 1 });
    }
  };
  open(undefined, 0, '');
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { taskId, depth, indent, last } = next;
    const task = byId.get(taskId);
    if (task !== undefined) branches.push({ task, lead: `${indent}${last ? '└─ ' : '├─ '}` });
    open(taskId, depth + 1, depth + 1 > DEPTH_MAX ? indent : `${indent}${last ? '   ' : '│  '}`);
  }
  return branches;
}

/** By number where ids count (`t2` before `t10`). */
function compare(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
