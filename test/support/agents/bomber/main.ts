/** A planner whose plans are as large, or call for as many further plans, as the goal's input says. */
import { z } from 'zod';
import { runAgent } from '../../../../shared/runtime/agent.ts';
import type { TaskContext } from '../../../../shared/runtime/context.ts';
import { capability } from '../../../../shared/runtime/manifest.ts';

const Wanted = z.object({ wide: z.int().default(1), levels: z.int().default(0) });

async function plan(context: TaskContext): Promise<object> {
  const { wide, levels } = Wanted.parse((await context.goal()).input);
  const level = context.taskId === 'plan' ? 0 : Number(context.taskId.slice('again-'.length));
  const echo = (taskId: string) => ({ taskId, capability: 'echo', description: '', dependencies: [], input: null });
  const tasks = Array.from({ length: wide }, (_, index) => echo(`n${level}-${index}`));
  const again = {
    taskId: `again-${level + 1}`,
    capability: 'plan',
    description: '',
    dependencies: [`n${level}-0`],
    input: null,
  };
  return {
    tasks: level < levels ? [...tasks, again] : tasks,
    source: 'model',
    ...(level === 0 && levels > 0 ? { revisions: 64 } : {}),
  };
}

await runAgent({
  role: 'bomber',
  responsibility: 'Plans more than anybody can do.',
  version: '1.0.0',
  capabilities: { plan: capability({ description: 'Plans', input: z.unknown(), output: z.unknown(), run: plan }) },
  mayMessage: [],
  usesModel: false,
  limits: { slots: 2 },
});
