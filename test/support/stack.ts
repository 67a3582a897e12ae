/** The stack of deploy/compose.yaml on this machine's engine, with a project, secrets and ports of its own, for one file of tests. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nkeyAuthenticator } from '@nats-io/transport-node';
import {
  DockerComposeEnvironment,
  getContainerRuntimeClient,
  type StartedDockerComposeEnvironment,
  Wait,
} from 'testcontainers';
import { run } from '../../deploy/bootstrap/command.ts';
import { buildImage } from '../../deploy/engine/build.ts';
import { ensureCompose, ensureEngine, stopOwnEngine } from '../../deploy/engine/engine.ts';
import { ensureSecrets } from '../../deploy/stack/secrets.ts';
import { servicesToStart } from '../../deploy/stack/services.ts';
import { stackOf } from '../../deploy/stack/stack.ts';
import { connectForeign, type Foreign } from './foreign.ts';
import { freePort } from './free-port.ts';
import { waitUntil } from './wait.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));
const START_MS_MAX = 180_000;
const READY_MS_MAX = 60_000;
const oneShots = ['volumes', 'init'];

export type TestStack = Awaited<ReturnType<typeof startStack>>;

export interface Inspected {
  readonly Id: string;
  readonly RestartCount: number;
  readonly State: { readonly Running: boolean; readonly ExitCode: number; readonly StartedAt: string };
  readonly Config: { readonly User: string; readonly Env: readonly string[]; readonly Image: string };
  readonly HostConfig: {
    readonly ReadonlyRootfs: boolean;
    readonly CapDrop: readonly string[] | null;
    readonly CapAdd: readonly string[] | null;
    readonly SecurityOpt: readonly string[] | null;
    readonly Privileged: boolean;
    readonly Memory: number;
    readonly NanoCpus: number;
    readonly PidsLimit: number;
    readonly RestartPolicy: { readonly Name: string };
    readonly LogConfig: { readonly Type: string; readonly Config: Readonly<Record<string, string>> };
  };
}

/** Builds the image, starts everything that can be had here, and waits until it is healthy. */
export async function startStack(project: string) {
  const isOurs = await ensureEngine();
  const compose = ensureCompose();
  const built = buildImage();
  const openAiKey = `sk-${randomBytes(24).toString('hex')}`;
  const [one, two, three, prometheus] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const ports = { NATS_PORT: String(one), NATS_PORT_2: String(two), NATS_PORT_3: String(three) };
  const stack = stackOf(compose, {
    project,
    nodes: 3,
    variables: { ...ports, PROMETHEUS_PORT: String(prometheus) },
    profiles: ['offline'],
    secrets: { openAiKey },
  });
  // What an interrupted run may have left.
  await stack.ensureSecrets();
  stack.remove();
  await stack.ensureSecrets();
  const { services, without } = servicesToStart(stack);
  const executable =
    compose.prefix.length > 0 ? {} : { executable: { standalone: true as const, executablePath: compose.command } };
  const whole = new DockerComposeEnvironment(root, [...stack.files])
    .withProjectName(project)
    .withProfiles('offline')
    .withEnvironment({ ...stack.environment })
    .withClientOptions(executable)
    .withAutoCleanup(false)
    .withStartupTimeout(START_MS_MAX);
  for (const service of oneShots) whole.withWaitStrategy(`${service}-1`, Wait.forOneShotStartup());
  for (const service of services.filter((each) => !oneShots.includes(each))) {
    for (const index of [1, 2, 3]) whole.withWaitStrategy(`${service}-${index}`, Wait.forHealthCheck());
  }
  const startedAt = performance.now();
  const environment = await whole.up([...services]);
  const upSeconds = (performance.now() - startedAt) / 1_000;
  const { container: engine } = await getContainerRuntimeClient();
  const seedFile = (name: string): string => join(stack.secretsFolder, 'nats', 'seeds', `${name}.seed`);
  const urls = [one, two, three].map((port) => `tls://127.0.0.1:${port}`);
  const login = {
    tls: { caFile: join(stack.secretsFolder, 'ca.crt') },
    pingInterval: 1_000,
    maxPingOut: 2,
  };
  /** `id`: the token that this user may speak under. */
  const connectWith = (seed: string, id: string): Promise<Foreign> =>
    connectForeign(urls, 'mesh', id, { ...login, authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)) });
  const connectAs = (name: string, id: string): Promise<Foreign> =>
    connectWith(readFileSync(seedFile(name), 'utf8').trim(), id);
  const inspect = (name: string): Inspected => {
    const [found]: readonly Inspected[] = JSON.parse(
      run('docker', ['inspect', `${project}-${name}`], { timeoutMs: 30_000 }),
    );
    if (found === undefined) throw new Error(`docker inspect of ${name} printed nothing.`);
    return found;
  };
  const isReady = async (name: string): Promise<boolean> => {
    const answer = await container(environment, name).exec(['node', '/app/deploy/image/health.ts']);
    return answer.exitCode === 0;
  };
  return {
    built,
    upSeconds,
    without,
    urls,
    prometheusUrl: `http://127.0.0.1:${prometheus}`,
    secretsFolder: stack.secretsFolder,
    openAiKey,
    connectAs,
    connectWith,
    seedFile,
    /** Replaces the key of a user in the secrets and in the brokers, which read them again. */
    async rotate(name: string): Promise<void> {
      await ensureSecrets(stack.secretsFolder, { openAiKey, rotate: [name] });
      for (const broker of ['nats-1-1', 'nats-2-1', 'nats-3-1']) {
        await engine.getById(inspect(broker).Id).kill({ signal: 'SIGHUP' });
      }
    },
    inspect,
    /** `planner-1`, `nats-3-1`..., those that are meant to run on. */
    names: () =>
      run(
        'docker',
        ['ps', '--all', '--filter', `label=com.docker.compose.project=${project}`, '--format', '{{.Names}}'],
        {
          timeoutMs: 30_000,
        },
      )
        .split('\n')
        .filter(Boolean)
        .map((name) => name.slice(project.length + 1))
        .filter((name) => !oneShots.some((service) => name.startsWith(`${service}-`)))
        .toSorted(),
    exec: (name: string, command: string[]) => container(environment, name).exec(command),
    logs: (name: string): string =>
      run('sh', ['-c', 'docker logs "$1" 2>&1', 'sh', `${project}-${name}`], { timeoutMs: 30_000 }),
    cli: (args: readonly string[], input?: string): string =>
      stack.ask(['--profile', 'tools', 'run', '--rm', '--no-TTY', 'cli', ...args], input),
    /** As a crash: nothing is told to the process. */
    kill: (name: string): Promise<void> => engine.getById(inspect(name).Id).kill({ signal: 'SIGKILL' }),
    /** As an operator: SIGTERM, and the exit code. */
    async stop(name: string): Promise<number> {
      await engine.stop(engine.getById(inspect(name).Id), { timeout: 40_000 });
      return inspect(name).State.ExitCode;
    },
    start: (name: string): Promise<void> => engine.start(engine.getById(inspect(name).Id)),
    isReady,
    ready: (name: string): Promise<boolean> => waitUntil(`${name} is ready`, () => isReady(name), READY_MS_MAX),
    healthy: (name: string): Promise<boolean> =>
      waitUntil(
        `${name} is healthy`,
        () =>
          run('docker', ['inspect', '--format', '{{.State.Health.Status}}', `${project}-${name}`], {
            timeoutMs: 30_000,
          }).trim() === 'healthy',
        READY_MS_MAX,
      ),
    /** What is left of the project after it was removed: containers, volumes, networks. */
    async remove(): Promise<readonly string[]> {
      const left = (...command: readonly string[]): readonly string[] =>
        run('docker', [...command, '--quiet', '--filter', `label=com.docker.compose.project=${project}`], {
          timeoutMs: 30_000,
        })
          .split('\n')
          .filter(Boolean);
      try {
        stack.remove();
      } catch (error) {
        // Engines before 23 sometimes count an endpoint of a container that is gone, and hold on to its network until they start again (moby 42119).
        if (!isOurs || left('ps', '--all').length > 0) throw error;
        await restartOwnEngine();
        stack.remove();
      }
      return [...left('ps', '--all'), ...left('volume', 'ls'), ...left('network', 'ls')];
    },
    close(): void {
      if (isOurs) stopOwnEngine();
    },
  };
}

async function restartOwnEngine(): Promise<void> {
  stopOwnEngine();
  await waitUntil('the engine has ended', () => !existsSync('/var/run/docker.pid'));
  await ensureEngine();
}

function container(environment: StartedDockerComposeEnvironment, name: string) {
  return environment.getContainer(name);
}

/** Every value below the folder of secrets that nobody else may ever see. */
export function secretValues(folder: string): readonly string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    // Certificates and public keys; and the same values once more.
    .filter((entry) => entry.isFile() && !/\.(crt|conf|json)$/.test(entry.name));
  const values = files.flatMap((entry) => {
    const text = readFileSync(join(entry.parentPath, entry.name), 'utf8').trim();
    const seeds = text.match(/SU[A-Z2-7]{56}/g) ?? [];
    const key = text.includes('PRIVATE KEY')
      ? text.split('\n').filter((line) => /^[A-Za-z0-9+/=]{20,}$/.test(line))
      : [];
    return [...seeds, ...key].length > 0 ? [...seeds, ...key] : [text];
  });
  return [...new Set(values)];
}
