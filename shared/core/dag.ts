/** The task graph as pure rules: validity, order, readiness, what a failure takes with it. Source of the order: Kahn 1962, as in the article. */

/** A node of a graph: anything with an id and the ids it waits for. */
export interface Node {
  readonly taskId: string;
  readonly dependencies: readonly string[];
}

export type GraphFault =
  | { readonly code: 'duplicate_task'; readonly message: string; readonly path: string }
  | { readonly code: 'unknown_dependency'; readonly message: string; readonly path: string }
  /** `cycle` is closed: its first id is repeated at its end. */
  | {
      readonly code: 'cyclic_dependencies';
      readonly message: string;
      readonly path: string;
      readonly cycle: readonly string[];
    };

export type Validated =
  | { readonly ok: true; readonly order: readonly string[] }
  | { readonly ok: false; readonly fault: GraphFault };

/** Each task's dependents, in the order in which the tasks are listed. */
export function dependentsOf(tasks: readonly Node[]): ReadonlyMap<string, readonly string[]> {
  const dependents = new Map<string, string[]>(tasks.map((task) => [task.taskId, []]));
  for (const task of tasks) {
    for (const dependency of new Set(task.dependencies)) dependents.get(dependency)?.push(task.taskId);
  }
  return dependents;
}

/** An execution order in which each task stands after all its dependencies, or the first thing that is wrong with the graph. O(tasks + edges). */
export function validateGraph(tasks: readonly Node[]): Validated {
  const fault = duplicateOf(tasks) ?? unknownOf(tasks);
  if (fault !== undefined) return { ok: false, fault };
  const waitingFor = new Map(tasks.map((task) => [task.taskId, new Set(task.dependencies).size]));
  const dependents = dependentsOf(tasks);
  const order = tasks.filter((task) => task.dependencies.length === 0).map((task) => task.taskId);
  for (let next = 0; next < order.length; next += 1) {
    for (const dependent of dependents.get(order[next] ?? '') ?? []) {
      const left = (waitingFor.get(dependent) ?? 0) - 1;
      waitingFor.set(dependent, left);
      if (left === 0) order.push(dependent);
    }
  }
  if (order.length === tasks.length) return { ok: true, order };
  return { ok: false, fault: cycleFault(tasks, new Set(order)) };
}

function duplicateOf(tasks: readonly Node[]): GraphFault | undefined {
  const seen = new Set<string>();
  for (const [index, { taskId }] of tasks.entries()) {
    if (seen.has(taskId)) {
      return {
        code: 'duplicate_task',
        message: `expected each taskId once, got "${taskId}" again`,
        path: `tasks.${index}.taskId`,
      };
    }
    seen.add(taskId);
  }
  return undefined;
}

function unknownOf(tasks: readonly Node[]): GraphFault | undefined {
  const known = new Set(tasks.map((task) => task.taskId));
  for (const [index, task] of tasks.entries()) {
    const at = task.dependencies.findIndex((dependency) => !known.has(dependency));
    if (at >= 0) {
      const message = `task "${task.taskId}" depends on "${task.dependencies[at]}", which is not a task of this goal`;
      return { code: 'unknown_dependency', message, path: `tasks.${index}.dependencies.${at}` };
    }
  }
  return undefined;
}

/** Names one cycle. Every task that Kahn left over has a dependency that was left over too, so walking those must come round. */
function cycleFault(tasks: readonly Node[], ordered: ReadonlySet<string>): GraphFault {
  const left = new Map(tasks.filter((task) => !ordered.has(task.taskId)).map((task) => [task.taskId, task]));
  const walked = new Map<string, number>();
  const path: string[] = [];
  let at = left.keys().next().value;
  while (at !== undefined && !walked.has(at)) {
    walked.set(at, path.length);
    path.push(at);
    at = left.get(at)?.dependencies.find((dependency) => left.has(dependency));
  }
  const start = at === undefined ? 0 : (walked.get(at) ?? 0);
  // The walk went from a task to what it waits for; read backwards it is the order in which work would flow.
  const cycle = [...path.slice(start), path[start] ?? ''].reverse();
  const index = tasks.findIndex((task) => task.taskId === cycle[0]);
  return {
    code: 'cyclic_dependencies',
    message: `expected no cycle, got ${cycle.join(' -> ')}; remove one of these dependencies`,
    path: `tasks.${index}.dependencies`,
    cycle,
  };
}

/** Tasks without dependents: the goal is complete when they are. */
export function sinksOf(tasks: readonly Node[]): readonly string[] {
  const needed = new Set(tasks.flatMap((task) => task.dependencies));
  return tasks.filter((task) => !needed.has(task.taskId)).map((task) => task.taskId);
}

/** I2: a task may start only when every one of its dependencies completed. */
export function mayStart(dependencies: readonly string[], isCompleted: (taskId: string) => boolean): boolean {
  return dependencies.every(isCompleted);
}

/** All tasks that can no longer run because `failed` did not complete: its dependents, theirs, and so on. */
export function unreachableAfter(failed: string, dependents: (taskId: string) => readonly string[]): readonly string[] {
  const lost = new Set<string>();
  const frontier = [failed];
  for (let at = frontier.pop(); at !== undefined; at = frontier.pop()) {
    for (const dependent of dependents(at)) {
      if (lost.has(dependent)) continue;
      lost.add(dependent);
      frontier.push(dependent);
    }
  }
  return [...lost];
}
