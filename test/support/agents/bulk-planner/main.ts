/** A planner for fault tests: as many independent echo tasks as the goal's input asks for, and one that waits for them all. */
import { z } from 'zod';
import { Plan } from '../../../../shared/protocol/plan.ts';
import { runAgent } from '../../../../shared/runtime/agent.ts';
import { capability } from '../../../../shared/runtime/manifest.ts';

/** Makes the writing of the graph last long enough to be killed in the middle of it. */
const LONG = 'long '.repeat(200);

const plan = capability({
  description: 'Plans `count` echo tasks and one that joins them',
  input: z.object({ count: z.int().min(1) }),
  output: Plan,
  run: async ({ input: { count } }) => {
    const wide = Array.from({ length: count - 1 }, (_, index) => ({
      taskId: `t${index}`,
      capability: 'echo',
      description: LONG,
      input: null,
      dependencies: [],
    }));
    const join = {
      taskId: 'join',
      capability: 'echo',
      description: '',
      input: { digest: true },
      dependencies: wide.map((task) => task.taskId),
    };
    return { tasks: [...wide, join], source: 'model' as const };
  },
});

await runAgent({
  role: 'bulk-planner',
  responsibility: 'Plans a graph of a given size.',
  version: '1.0.0',
  capabilities: { plan },
  mayMessage: [],
  usesModel: false,
  limits: { slots: 1 },
});
