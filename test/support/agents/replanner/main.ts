/** A planner for tests of revisions: its first plan asks for a second one, made while the goal runs, which replaces the task that waits for it. */
import { z } from 'zod';
import { Plan } from '../../../../shared/protocol/plan.ts';
import { runAgent } from '../../../../shared/runtime/agent.ts';
import { capability } from '../../../../shared/runtime/manifest.ts';

const echo = (taskId: string, dependencies: string[], input: Plan['tasks'][number]['input'] = null) => ({
  taskId,
  capability: 'echo',
  description: '',
  input,
  dependencies,
});

const plan = capability({
  description: 'Plans one echo task, and then as many more as the goal asks for, with one that joins them',
  input: z.unknown(),
  output: Plan,
  async run(context): Promise<Plan> {
    if (context.taskId === 'plan') {
      const again = { taskId: 'again', capability: 'plan', description: 'plan the rest', dependencies: ['first'] };
      return { tasks: [echo('first', []), again, echo('old', ['again'])], source: 'model', revisions: 1 };
    }
    const { input } = await context.goal();
    const { count } = z.object({ count: z.int() }).parse(input);
    const wide = Array.from({ length: count }, (_, index) => echo(`n${index}`, ['first']));
    const join = echo('join', ['first', ...wide.map(({ taskId }) => taskId)], { digest: true });
    return { tasks: [...wide, join], replaces: ['old'], source: 'model', reason: 'what the first one found' };
  },
});

await runAgent({
  role: 'replanner',
  responsibility: 'Plans twice.',
  version: '1.0.0',
  capabilities: { plan },
  mayMessage: [],
  usesModel: false,
  limits: { slots: 1 },
});
