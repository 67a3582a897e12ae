/** What is played: ten goals, the crew that works on them, the model's latency. */
import { readFileSync } from 'node:fs';

export const PATTERNS = ['sequential', 'parallel', 'orchestrator', 'peer-to-peer'] as const;
export type Pattern = (typeof PATTERNS)[number];

/** Each answer of the model takes this long, whatever it is asked. */
export const MODEL_LATENCY_MS = 200;
/** A broker that was killed is down for so long. */
export const BROKER_DOWN_MS = 1_000;
/** How many processes of each service. */
export const CREW = { planner: 2, researcher: 2, coder: 2, reviewer: 3 } as const;
export type Role = keyof typeof CREW;

export interface Work {
  readonly goalId: string;
  readonly description: string;
  readonly input: { readonly text: string };
}

export const GOALS = 10;

/** Ten briefs, each of the report without another one of its paragraphs. */
export function works(): readonly Work[] {
  const [title = '', ...paragraphs] = readFileSync(
    new URL('../../../deploy/demo/input.txt', import.meta.url),
    'utf8',
  ).split(/\n\n+/);
  return Array.from({ length: GOALS }, (_, index) => ({
    goalId: `goal-${index + 1}`,
    description: 'Brief this text',
    input: { text: [title, ...paragraphs.filter((_each, at) => at !== index)].join('\n\n') },
  }));
}
