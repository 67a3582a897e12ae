/**
 * Work that the engine meant for one agent. Its item is on the capability's queue like any other; whoever is given it and is not meant hands it over, and
 * from then on that agent extends and acknowledges it. A handover that is lost costs a lease: the item comes round. An agent that is gone, or does not
 * answer, is not waited for.
 */
import type { TaskRecord } from '../../protocol/task.ts';
import type { Delivery } from '../../ports.ts';
import type { Deps } from './deps.ts';

export interface Directed {
  /** `away`: it is taken care of. `gone`: the agent that was meant cannot be reached. */
  pass(delivery: Delivery, task: TaskRecord, assignee: string): Promise<'away' | 'gone'>;
}

/** An agent may be too busy to answer in time once; it is asked again after a moment. */
const AGAIN_MS = 300;
const SILENT_MAX = 2;
/** So often a busy agent is asked again, a little later each time. */
const BUSY_MAX = 8;
const BUSY_MS_MAX = 2_000;

export function directedOf(deps: Deps): Directed {
  return {
    async pass(delivery, task, assignee) {
      const { capability, goalId, correlationId } = task;
      const agents = await deps.registry.list();
      const present = agents.some((agent) => agent.agentId === assignee && agent.capabilities.includes(capability));
      if (!present) return 'gone';
      const traceparent = deps.tracing.goal(task);
      const answer = await deps.handOver(assignee, delivery, { capability, goalId, correlationId, traceparent });
      switch (answer) {
        case 'taken':
          return 'away';
        case 'refused':
          return 'gone';
        case 'silent':
          // It held the task and lost its lease, or was asked before: a presence key outlives its agent by seconds.
          if (task.status === 'in_progress' || delivery.deliveries >= SILENT_MAX) return 'gone';
          delivery.retry(AGAIN_MS);
          return 'away';
        case 'busy':
          if (delivery.deliveries >= BUSY_MAX) return 'gone';
          delivery.retry(Math.min(BUSY_MS_MAX, AGAIN_MS * delivery.deliveries));
          return 'away';
      }
    },
  };
}
