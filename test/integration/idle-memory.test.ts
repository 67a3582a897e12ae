/** What an agent that asks no model holds in memory, told by what it loads: megabytes differ from machine to machine, names do not. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { endProcess, startProcess } from '../support/processes.ts';
import { meshOfFile } from './mesh.ts';

const mesh = meshOfFile('idle-memory', () => Promise.resolve());
const folder = mkdtempSync(join(tmpdir(), 'conclave-compiled-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PACKAGES = new URL('../support/report-modules.ts', import.meta.url);
const PARTS_OF_NODE = new URL('../support/report-builtins.ts', import.meta.url);

/** What an agent has said on stderr from its start to its end, with this loaded before it, after a goal of one task. */
async function report(agentId: string, preload: URL): Promise<readonly string[]> {
  const agent = await mesh().agent(agentId, {
    env: { NODE_OPTIONS: `--import=${preload.href}`, NODE_COMPILE_CACHE: join(folder, basename(preload.pathname)) },
  });
  const goalId = `of-${agentId}`;
  await mesh().foreign.submit({ goalId, description: 'x', tasks: [{ taskId: 'a', capability: 'echo' }] });
  await mesh().foreign.ended(goalId);
  await agent.signal('SIGTERM');
  const { code, stderr } = await agent.exit;
  expect(code).toBe(0);
  return stderr.split('\n');
}

test('packages that only other agents, or the command line, use are not loaded', async () => {
  const lines = await report('packages', PACKAGES);
  expect(lines).toContain('loaded zod');
  for (const name of [
    'openai',
    'gpt-tokenizer',
    'fastify',
    '@nats-io/obj',
    'cockatiel',
    'commander',
    'cli-table3',
    'log-update',
  ])
    expect(lines).not.toContain(`loaded ${name}`);
});

test('nor parts of Node that no agent uses, nor, once its code is cached, the stripper of types', async () => {
  const stripper = 'NativeModule internal/deps/amaro/dist/index';
  expect(await report('first', PARTS_OF_NODE)).toContain(stripper);
  const parts = await report('second', PARTS_OF_NODE);
  expect(parts).toContain('NativeModule http');
  for (const part of [stripper, 'NativeModule internal/deps/undici/undici', 'NativeModule http2'])
    expect(parts).not.toContain(part);
});

test('settings that are read at the start of a process only are there, because it begins again', async ({
  onTestFinished,
}) => {
  const tell = 'console.error("started with", process.env.MALLOC_ARENA_MAX, process.env.NODE_COMPILE_CACHE)';
  const { url: NATS_URL, name: MESH } = mesh();
  const agent = startProcess({
    folder: 'services/echo',
    env: {
      NATS_URL,
      MESH,
      XDG_CACHE_HOME: folder,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tell)}`,
    },
  });
  onTestFinished(() => endProcess(agent));
  await agent.logged('agent.ready');
  await agent.signal('SIGTERM');
  const { stderr } = await agent.exit;
  const compiled = join(folder, 'conclave', 'compiled');
  expect(stderr.trim().split('\n')).toEqual(['started with undefined undefined', `started with 1 ${compiled}`]);
  expect(readdirSync(compiled)).not.toEqual([]);
});
