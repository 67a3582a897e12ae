/** The stack under test, and who looks at it from outside. All parts of the suite share it: each goes on with what the ones before it left. */
import { expect } from 'vitest';
import { gather, judge, logHasCaughtUp } from '../support/checker.ts';
import type { Foreign } from '../support/foreign.ts';
import { type Load, startLoad } from '../support/load.ts';
import { startStack, type TestStack } from '../support/stack.ts';
import { waitUntil } from '../support/wait.ts';

/** Agents whose key was replaced under them: until they are started again the brokers may refuse them once or twice. */
export const REPLACED = new Set<string>();
export const PATIENCE_MS = 60_000;
export const brokers = ['nats-1-1', 'nats-2-1', 'nats-3-1'];
const roles = ['planner', 'researcher', 'coder', 'reviewer', 'echo'];

export let stack: TestStack;
/** May read everything. */
export let stranger: Foreign;
export let admin: Foreign;
export const loads: Load[] = [];

/** Names of the agents' containers. */
export const agents = (): readonly string[] =>
  stack.names().filter((name) => roles.some((role) => name.startsWith(`${role}-`)));
export const say = (text: string): void => void process.stdout.write(`${text}\n`);

export async function open(): Promise<void> {
  stack = await startStack('conclave-test');
  say(`${stack.built}; all healthy after ${stack.upSeconds.toFixed(0)} s`);
  for (const line of stack.without) say(line);
  stranger = await stack.connectAs('operator', 'cli');
  admin = await stack.connectAs('admin', 'cli');
}

/** Also after a start that failed half way. */
export async function close(): Promise<void> {
  for (const each of loads) each.stop();
  await stranger?.close();
  await admin?.close();
  try {
    await stack?.remove();
  } finally {
    stack?.close();
  }
}

/** Goals that go on while something happens to the mesh. */
export function load(): Load {
  const started = startLoad(stranger, `load${loads.length}`);
  loads.push(started);
  return started;
}

/** What the checker says once the mesh has come to rest; a violation fails. */
export async function soundStreams(acknowledged: readonly string[]): Promise<string> {
  await waitUntil('every submission is settled', async () => (await stranger.unsettled()) === 0, PATIENCE_MS);
  const evidence = await waitUntil(
    'the log has caught up',
    async () => {
      const found = await gather(stranger.nc, 'mesh');
      return logHasCaughtUp(found) ? found : undefined;
    },
    PATIENCE_MS,
  );
  const { violations, goals, tasks, revisions } = judge('mesh', evidence, [...acknowledged, 'kill-agent']);
  expect(violations).toEqual([]);
  return `${goals} goals, ${tasks} tasks, ${revisions} revisions, ${violations.length} violations`;
}
