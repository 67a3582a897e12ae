/** The broker as a child process: the nats-server of this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { natsServerBinary } from '../../deploy/bootstrap/find-nats-server.ts';
import { announcedPort, type BrokerPlan, endingSignals, type TestBroker } from './broker-plan.ts';
import { waitUntilStopped } from './process-state.ts';
import { waitUntil } from './wait.ts';

export async function startLocalBroker(plan: BrokerPlan): Promise<TestBroker> {
  const binary = natsServerBinary();
  const configFile = join(plan.folder, 'server.conf');
  writeFileSync(configFile, plan.configText(plan.storeDir));
  let server = await startServer(binary, configFile, plan.folder, plan.port ?? -1);
  const { port } = server;

  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    server.process.kill(signal);
    if (signal === 'SIGSTOP') await waitUntilStopped(server.pid);
    if (!endingSignals.includes(signal)) return;
    // A server keeps nobody alive, but for somebody who waits for its end.
    server.process.ref();
    await server.ended;
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    storeDir: plan.storeDir,
    get pid() {
      return server.pid;
    },
    kill,
    async restart() {
      await kill('SIGKILL');
      server = await startServer(binary, configFile, plan.folder, port);
    },
    async stop() {
      // A store that is kept is closed in good order; a frozen server must thaw to do that.
      server.process.kill('SIGCONT');
      await kill(plan.keepStore ? 'SIGTERM' : 'SIGKILL');
      rmSync(plan.folder, { recursive: true, force: true });
    },
  };
}

interface RunningServer {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly port: number;
  readonly ended: Promise<void>;
}

async function startServer(binary: string, configFile: string, folder: string, port: number): Promise<RunningServer> {
  const log = join(folder, 'server.log');
  const args = ['-c', configFile, '-a', '127.0.0.1', '-p', String(port), '--ports_file_dir', folder];
  const output = openSync(log, 'a');
  const child = spawn(binary, args, { stdio: ['ignore', output, output] });
  closeSync(output);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${binary} could not be started.`);
  child.unref();
  dieWithThisProcess(pid, folder, ended);

  const readPort = (): number | undefined => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`nats-server ended: ${lastWords(log)}`);
    return announcedPort(folder, pid);
  };
  try {
    return { process: child, pid, ended, port: await waitUntil('nats-server accepts clients', readPort, 15_000) };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

function lastWords(log: string): string {
  return readFileSync(log, 'utf8').trim().split('\n').at(-1) || 'without a word';
}

/** A test process that is killed cannot end its servers nor clean up: a shell that sees its pipe close does. */
function dieWithThisProcess(pid: number, folder: string, ended: Promise<void>): void {
  const script = 'read -r _; kill -KILL "$1"; rm -rf "$2"';
  const guard = spawn('sh', ['-c', script, 'sh', String(pid), folder], { stdio: ['pipe', 'ignore', 'ignore'] });
  guard.unref();
  if (guard.stdin instanceof Socket) guard.stdin.unref();
  void ended.then(() => guard.kill('SIGKILL'));
}
