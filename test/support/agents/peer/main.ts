/**
 * An agent for tests of peers: its capabilities and how sure it is of itself come from the environment, what it does from the goal's input: `steps`, of
 * which the n-th is for the n-th piece of work on the goal.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import type { ProposedStep } from '../../../../shared/core/peer.ts';
import { runAgent } from '../../../../shared/runtime/agent.ts';
import { HandlerError, type TaskContext } from '../../../../shared/runtime/context.ts';
import { capability, type Capability } from '../../../../shared/runtime/manifest.ts';

const Script = z.object({
  delayMs: z.int().optional(),
  /** Asks a peer before it goes on, so often. */
  ask: z
    .object({ capability: z.string(), times: z.int(), question: z.string().default('What do you think?') })
    .optional(),
  step: z.enum(['answer', 'hand_on', 'split']).default('answer'),
  capability: z.string().optional(),
  note: z.string().optional(),
  parts: z.array(z.object({ capability: z.string(), note: z.string() })).optional(),
});
const Input = z.looseObject({ steps: z.array(Script).min(1) });
const env = process.env;
const names = (env['CAPABILITIES'] ?? 'think').split(',');
const confidence = Number(env['CONFIDENCE'] ?? 0.5);

function scriptOf({ input, done, description }: TaskContext): z.infer<typeof Script> {
  const { steps } = Input.parse(input);
  const works = done.filter(({ taskId }) => taskId.startsWith('w')).length;
  // A part is told what to do by its note alone.
  if (description.includes('part')) return { step: 'answer' };
  return steps[Math.min(works, steps.length - 1)] ?? { step: 'answer' };
}

async function work(context: TaskContext): Promise<unknown> {
  if (context.description.includes('broken part')) throw new HandlerError('broken', 'nothing helps', { retry: false });
  const { delayMs = 0, ask } = scriptOf(context);
  const said = [];
  for (let times = ask?.times ?? 0; times > 0; times -= 1)
    said.push(await context.askPeer({ capability: ask?.capability ?? '', question: ask?.question ?? '' }));
  await wait(delayMs, undefined, { signal: context.signal });
  const failed = context.failures.map(({ description }) => description);
  return { by: context.agentId, done: context.done.map(({ taskId }) => taskId), failed, said };
}

function think(): Capability {
  return capability({
    description: 'Does what its goal tells it',
    input: z.unknown(),
    output: z.unknown(),
    run: work,
    bid: () => confidence,
    next: (context): ProposedStep => scriptOf(context),
    async answer({ question }, { signal }) {
      if (question.includes('never')) await wait(60_000, undefined, { signal });
      return `you asked: ${question}`;
    },
  });
}

await runAgent({
  role: 'peer',
  responsibility: 'Does what its goal tells it.',
  version: '1.0.0',
  capabilities: Object.fromEntries(names.map((name) => [name, think()])),
  mayMessage: ['think', 'write', 'know'],
  usesModel: false,
  limits: { slots: 4 * names.length },
});
