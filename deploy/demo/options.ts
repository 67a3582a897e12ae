/** What the user of the demo may choose: environment -> one frozen object. */
import { fileURLToPath } from 'node:url';

export interface DemoOptions {
  /** Path of the text or JSON that the goal is about. */
  readonly input: string;
  /** The goal's description. */
  readonly goal: string;
  readonly mesh: string;
  /** A broker that is there already; undefined: one for this run alone. */
  readonly natsUrl: string | undefined;
  /** An OpenAI-compatible endpoint; undefined: the offline model of services/model. */
  readonly endpoint: string | undefined;
}

const SAMPLE = fileURLToPath(new URL('input.txt', import.meta.url));
const GOAL = 'Brief this text: its most important facts, each with the passage that supports it';

/** INPUT, GOAL, MESH, NATS_URL, OPENAI_BASE_URL; one that is empty counts as absent. */
export function optionsFrom(env: NodeJS.ProcessEnv): DemoOptions {
  const given = (name: string): string | undefined => (env[name]?.trim() === '' ? undefined : env[name]);
  return Object.freeze({
    input: given('INPUT') ?? SAMPLE,
    goal: given('GOAL') ?? GOAL,
    mesh: given('MESH') ?? 'demo',
    natsUrl: given('NATS_URL'),
    endpoint: given('OPENAI_BASE_URL'),
  });
}
