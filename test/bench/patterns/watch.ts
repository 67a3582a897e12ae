/** Who works on a goal, as it is heard while it happens: where a strike must hit. What became of it is read from the stream afterwards. */
import { jsonOf } from '../../support/foreign.ts';
import { ForeignTask } from '../../support/foreign-records.ts';
import type { Mesh } from '../../support/open-mesh.ts';

export interface Held {
  readonly agentId: string;
  readonly taskId: string;
}

export interface Watch {
  /** A task of the goal that is being worked on now; `planning`: by a planner. */
  held(goalId: string, planning: boolean): Held | undefined;
  stop(): void;
}

/** No work of a process that could be missed: a plan is a planner's, and an auction is held by whoever comes first. */
const AUCTION = 'auction';
const PLAN = 'plan';

export function watchTasks({ foreign, name }: Mesh): Watch {
  const tasks = new Map<string, ForeignTask>();
  const subscription = foreign.nc.subscribe(`$KV.${name}_dag.task.>`, {
    callback: (_error, { data }) => {
      const task = ForeignTask.safeParse(data.length === 0 ? undefined : jsonOf(data)).data;
      if (task !== undefined) tasks.set(`${task.goalId}.${task.taskId}`, task);
    },
  });
  return {
    held(goalId, planning) {
      for (const task of tasks.values()) {
        if (task.goalId !== goalId || task.status !== 'in_progress' || task.agentId === undefined) continue;
        if (task.capability !== AUCTION && (task.capability === PLAN) === planning)
          return { agentId: task.agentId, taskId: task.taskId };
      }
      return undefined;
    },
    stop: () => subscription.unsubscribe(),
  };
}
