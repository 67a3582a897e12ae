/** A voter that approves of everything at once. */
import { z } from 'zod';
import { runAgent } from '../../../../shared/runtime/agent.ts';
import { capability } from '../../../../shared/runtime/manifest.ts';

const nod = capability({
  description: 'Returns its input',
  input: z.unknown(),
  output: z.unknown(),
  run: ({ input }) => Promise.resolve(input ?? null),
});

await runAgent({
  role: 'nodder',
  responsibility: 'Approves.',
  version: '1.0.0',
  capabilities: { nod },
  mayMessage: [],
  usesModel: false,
  limits: { slots: 4 },
  vote: () => Promise.resolve({ position: 'approve' }),
});
