/** The broker in a container of the engine on this machine, from an image that is here already. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ContainerRuntimeClient, getContainerRuntimeClient, ImageName } from 'testcontainers';
import { announcedPort, type BrokerPlan, brokerImage, endingSignals, type TestBroker } from './broker-plan.ts';
import { freePort } from './free-port.ts';
import { waitUntilStopped } from './process-state.ts';
import { waitUntil } from './wait.ts';

type Engine = ContainerRuntimeClient['container'];
type Container = Awaited<ReturnType<Engine['create']>>;

/** The server's process id within its container. */
const pidInside = 1;

/** Whether an engine that shares this machine's files answers and has the image. */
export async function imageIsHere(image: string): Promise<boolean> {
  let client: ContainerRuntimeClient;
  try {
    client = await getContainerRuntimeClient();
  } catch {
    // Its only error: no engine answers.
    return false;
  }
  const sharesFiles = ['localhost', '127.0.0.1', '::1'].includes(client.info.containerRuntime.host);
  return sharesFiles && (await client.image.exists(ImageName.fromString(image)));
}

export async function startContainerBroker(plan: BrokerPlan): Promise<TestBroker> {
  writeFileSync(join(plan.folder, 'server.conf'), plan.configText('/store'));
  const { container: engine } = await getContainerRuntimeClient();
  // A port that the engine picks would change at a restart, and clients would never find the server again.
  const port = plan.port ?? (await freePort());
  const container = await engine.create({
    Image: brokerImage,
    Entrypoint: ['/nats-server'],
    Cmd: ['-c', '/conclave/server.conf', '-p', '4222', '--ports_file_dir', '/conclave'],
    User: `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
    Labels: { 'conclave.test': 'broker' },
    ExposedPorts: { '4222/tcp': {} },
    HostConfig: {
      PortBindings: { '4222/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] },
      Mounts: [
        { Type: 'bind', Source: plan.folder, Target: '/conclave' },
        { Type: 'bind', Source: plan.storeDir, Target: '/store' },
      ],
    },
  });

  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    const { State } = await container.inspect();
    if (!State.Running) return;
    const gone = endingSignals.includes(signal) ? container.wait() : undefined;
    await container.kill({ signal });
    if (signal === 'SIGSTOP') await waitUntilStopped(State.Pid);
    await gone;
  };
  const remove = async (): Promise<void> => {
    await container.remove({ force: true });
    rmSync(plan.folder, { recursive: true, force: true });
  };

  let pid: number;
  try {
    pid = await start(engine, container, plan.folder);
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    url: `nats://127.0.0.1:${port}`,
    storeDir: plan.storeDir,
    get pid() {
      return pid;
    },
    kill,
    async restart() {
      await kill('SIGKILL');
      pid = await start(engine, container, plan.folder);
    },
    async stop() {
      // A store that is kept is closed in good order; a frozen server must thaw to do that.
      await kill('SIGCONT');
      await kill(plan.keepStore ? 'SIGTERM' : 'SIGKILL');
      await remove();
    },
  };
}

/** Starts the container and returns the server's process id once it accepts clients. */
async function start(engine: Engine, container: Container, folder: string): Promise<number> {
  rmSync(join(folder, `nats-server_${pidInside}.ports`), { force: true });
  await engine.start(container);
  return waitUntil(
    'nats-server accepts clients',
    async () => {
      const { State } = await container.inspect();
      if (!State.Running) throw new Error(`nats-server ended: ${await lastWords(container)}`);
      return announcedPort(folder, pidInside) !== undefined && State.Pid;
    },
    15_000,
  );
}

async function lastWords(container: Container): Promise<string> {
  await container.wait();
  const log = await container.logs({ stdout: true, stderr: true });
  // Each piece comes behind eight bytes that say which stream it is from and how long it is.
  const pieces = log.toString('latin1').replaceAll(/[\x00-\x02]\0{3}[^]{4}/g, '');
  return Buffer.from(pieces, 'latin1').toString('utf8').trim().split('\n').at(-1) || 'without a word';
}
