/**
 * An agent that fails for good: at every task of the capabilities in CAPABILITIES, or only at those whose description fits FAILS_AT. What it does not fail
 * at it does without a model: it finds one fact.
 */
import { z } from 'zod';
import { runAgent } from '../../../../shared/runtime/agent.ts';
import { HandlerError } from '../../../../shared/runtime/context.ts';
import { capability } from '../../../../shared/runtime/manifest.ts';

const { CAPABILITIES = 'research', FAILS_AT = '' } = process.env;
const failsAt = new RegExp(FAILS_AT);

const breaks = capability({
  description: 'Fails for good',
  input: z.unknown(),
  output: z.unknown(),
  async run({ description, goal }) {
    if (failsAt.test(description))
      throw new HandlerError('broken', `nothing helps with: ${description}`, { retry: false });
    const { input } = await goal();
    const { text } = z.object({ text: z.string() }).parse(input);
    const [quote = text] = text.split('. ');
    return { facts: [{ statement: quote, quote }] };
  },
});

await runAgent({
  role: 'breaker',
  responsibility: 'Fails for good.',
  version: '1.0.0',
  capabilities: Object.fromEntries(CAPABILITIES.split(',').map((name) => [name, breaks])),
  mayMessage: [],
  usesModel: false,
  limits: { slots: 8 },
});
