/** Starts the stack, says where everything is, and runs one goal through it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildImage } from '../engine/build.ts';
import type { Compose } from '../engine/engine.ts';
import { servicesToStart } from './services.ts';
import { type StackOptions, stackOf } from './stack.ts';

const sample = fileURLToPath(new URL('../demo/input.txt', import.meta.url));
const GOAL_MS_MAX = 120_000;

export async function up(compose: Compose, options: StackOptions): Promise<void> {
  process.stdout.write(`${buildImage()}\n`);
  const stack = stackOf(compose, options);
  await stack.ensureSecrets();
  const { services, without } = servicesToStart(stack);
  for (const line of without) process.stdout.write(`${line}\n`);
  // Those that run already let the agents of the version before in, and may not know what those of this one need.
  const brokers = stack.ask(['ps', '--services', '--status', 'running']).match(/^nats-\d$/gm) ?? [];
  if (brokers.length > 0) stack.compose(['kill', '--signal', 'HUP', ...brokers]);
  stack.compose(['up', '--detach', '--wait', '--remove-orphans', ...services]);
  const variables = {
    NATS_PORT: '4222',
    NATS_PORT_2: '4223',
    NATS_PORT_3: '4224',
    PROMETHEUS_PORT: '9090',
    GRAFANA_PORT: '3000',
    ...options.variables,
  };
  const { NATS_PORT, NATS_PORT_2, NATS_PORT_3 } = variables;
  const ports = options.nodes === 1 ? [NATS_PORT] : [NATS_PORT, NATS_PORT_2, NATS_PORT_3];
  const brief = ['submit', 'Brief this text', '--input', '-', '--wait', '--timeout-ms', String(GOAL_MS_MAX)];
  process.stdout.write('\nA goal, through the mesh:\n');
  stack.compose(['--profile', 'tools', 'run', '--rm', '--no-TTY', 'cli', ...brief], readFileSync(sample, 'utf8'));
  const lines = [
    `brokers     ${ports.map((port) => `nats://127.0.0.1:${port}`).join(' ')}`,
    `            NATS_CA=${stack.secretsFolder}/ca.crt NATS_NKEY_SEED_FILE=${stack.secretsFolder}/nats/seeds/operator.seed`,
    `Prometheus  http://127.0.0.1:${variables.PROMETHEUS_PORT}`,
    services.includes('grafana')
      ? `Grafana     http://127.0.0.1:${variables.GRAFANA_PORT} (admin, ${stack.secretsFolder}/grafana.password)`
      : 'Grafana     not started: its image cannot be had here',
    `the end     make down`,
  ];
  process.stdout.write(`\n${lines.join('\n')}\n`);
}
