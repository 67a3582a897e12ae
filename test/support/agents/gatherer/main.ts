/** Joins and nothing else: it never saw the tasks before, so all that it is given comes from the streams. Returns the names of what it got. */
import { z } from 'zod';
import { runAgent } from '../../../../shared/runtime/agent.ts';
import { capability } from '../../../../shared/runtime/manifest.ts';

const gather = capability({
  description: 'Returns the ids of the dependencies whose results it was given',
  input: z.unknown(),
  output: z.array(z.string()),
  run: ({ dependencies }) => Promise.resolve(Object.keys(dependencies)),
});

await runAgent({
  role: 'gatherer',
  responsibility: 'Says what it was given.',
  version: '1.0.0',
  capabilities: { gather },
  mayMessage: [],
  usesModel: false,
  limits: { slots: 1 },
});
