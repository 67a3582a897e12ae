/** Asks its model as often as it is told to, or until its budget refuses, from many places at once. */
import { z } from 'zod';
import { runAgent } from '../../../../shared/runtime/agent.ts';
import { HandlerError, type TaskContext } from '../../../../shared/runtime/context.ts';
import { capability } from '../../../../shared/runtime/manifest.ts';

const Input = z.object({
  /** Names what is billed; the endpoint reads it from the prompt. */
  account: z.string(),
  /** Askers at once. */
  askers: z.int().min(1).default(1),
  /** Questions of each; absent: until the budget refuses one. */
  calls: z.int().min(1).optional(),
  maxOutputTokens: z.int().min(1).default(200),
});
type Input = z.infer<typeof Input>;

const Answer = z.object({ said: z.string() });

async function ask(context: TaskContext<Input>, n: number): Promise<void> {
  const { account, maxOutputTokens } = context.input;
  const user = `account:${account}; question ${n} of ${context.taskId}, attempt ${context.attempt}. ${'word '.repeat(n % 40)}`;
  await context.ask({ name: 'spend', system: 'Say something.', user, schema: Answer, maxOutputTokens });
}

/** How many questions were answered before one was refused. */
async function untilRefused(context: TaskContext<Input>, asker: number): Promise<number> {
  for (let asked = 0; ; asked += 1) {
    try {
      await ask(context, asker * 1_000 + asked);
    } catch (error) {
      if (error instanceof HandlerError && error.code === 'budget_exceeded') return asked;
      throw error;
    }
  }
}

async function someTimes(context: TaskContext<Input>, asker: number, calls: number): Promise<number> {
  for (let asked = 0; asked < calls; asked += 1) await ask(context, asker * 1_000 + asked);
  return calls;
}

const spend = capability({
  description: 'Asks the model and says how often it was answered',
  input: Input,
  output: z.object({ answered: z.int() }),
  async run(context) {
    const { askers, calls } = context.input;
    const answered = await Promise.all(
      Array.from({ length: askers }, (_, asker) =>
        calls === undefined ? untilRefused(context, asker) : someTimes(context, asker, calls),
      ),
    );
    return { answered: answered.reduce((sum, each) => sum + each, 0) };
  },
});

await runAgent({
  role: 'spender',
  responsibility: 'Spends what it is given.',
  version: '1.0.0',
  capabilities: { spend },
  mayMessage: [],
  usesModel: true,
  limits: { slots: 256 },
});
