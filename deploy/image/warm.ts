/**
 * Loads every module that the image can run, so that NODE_COMPILE_CACHE holds its compiled form, and fails when one cannot be loaded: a package
 * that was pruned too far ends the build, not a night.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { manifest } from '../../services/planner/handler.ts';
import { otelTracer } from '../../shared/adapters/otel-tracer.ts';
import { PriceTable } from '../../shared/protocol/prices.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { modelOf, readPrices } from '../../shared/runtime/models.ts';

const START_MS_MAX = 30_000;
/** Closed on every machine that means it well; an agent that finds no broker has loaded everything and says so. */
const NOWHERE = '127.0.0.1:9';

const root = fileURLToPath(new URL('../../', import.meta.url));
const modules = ['shared', 'services'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(root, folder, path)),
);
for (const module of modules) {
  if (module.endsWith('.ts') && !module.endsWith('main.ts')) await import(pathToFileURL(module).href);
}
await askNobody();
await traceNothing();

/** Exporters of traces are loaded when they are wanted. */
async function traceNothing(): Promise<void> {
  for (const protocol of ['http/protobuf', 'http/json'] as const) {
    const speaker = { agentId: 'warm', role: 'warm', version: '0' };
    await (await otelTracer({ speaker, mesh: 'warm', protocol, ratio: 1, batch: {}, onTrouble: nothing })).close();
  }
}

/** A question to a model loads the client and the tokenizer, parts of them not before the request itself. Nobody answers. */
async function askNobody(): Promise<void> {
  const config = readConfig({ OPENAI_BASE_URL: `http://${NOWHERE}/v1` });
  const silent = {
    breakerState: nothing,
    retry: nothing,
    timeout: nothing,
    overloaded: nothing,
    usageDoubted: nothing,
  };
  const model = await modelOf(config, manifest, readPrices(config), 1, silent);
  const answer = await model?.complete({
    name: 'warm',
    system: 'none',
    user: 'none',
    schema: PriceTable,
    maxOutputTokens: 1,
    budget: { reserve: () => Promise.resolve({ granted: true, settle: () => Promise.resolve() }) },
    signal: AbortSignal.timeout(START_MS_MAX),
  });
  if (answer === undefined || answer.ok) throw new Error('expected a question that nobody answers');
  process.stdout.write(`As expected of a question to nobody: ${answer.message}\n`);
}

function nothing(): void {
  // Nobody looks at the metrics of a build.
}

/** Runs the image's own command to its end. A service is told to end once it has said something: by then all of it is loaded. */
async function rehearse(script: string, args: readonly string[], isService: boolean): Promise<number | null> {
  const child = spawn(process.execPath, [join(root, 'deploy', 'image', script), ...args], {
    env: { ...process.env, NATS_URL: `nats://${NOWHERE}`, OPENAI_BASE_URL: `http://${NOWHERE}/v1`, HTTP_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: START_MS_MAX,
  });
  child.stdout.once('data', () => {
    if (isService) child.kill('SIGTERM');
  });
  await once(child, 'close');
  return child.exitCode;
}

for (const name of readdirSync(join(root, 'services'))) {
  const isService = name !== 'cli';
  const code = await rehearse('entry.ts', isService ? [name] : [name, '--help'], isService);
  if (code !== 0) throw new Error(`${name} did not start and end well (exit code ${String(code)})`);
}
await rehearse('health.ts', [], false);

const cache = process.env['NODE_COMPILE_CACHE'];
const compiled = cache === undefined ? [] : readdirSync(cache, { recursive: true, encoding: 'utf8' });
const bytes = compiled.reduce((sum, path) => sum + statSync(join(cache ?? '', path)).size, 0);
if (compiled.length < modules.length)
  throw new Error(`${compiled.length} compiled modules of more than ${modules.length}`);
process.stdout.write(`${compiled.length} modules are compiled ahead, ${(bytes / 1e6).toFixed(1)} MB\n`);
