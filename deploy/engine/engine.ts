/**
 * The container engine of this machine, and its compose. On Debian as root both are made present: the engine by its package, compose as a
 * program in .cache. Anywhere else, one line says what to install.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { exists, run } from '../bootstrap/command.ts';
import { fetchWithApt } from '../bootstrap/fetch-with-apt.ts';

const START_MS_MAX = 60_000;
const INSTALL_MS_MAX = 300_000;
const POLL_MS = 200;
/** The first compose that knows every key of deploy/compose.yaml. */
const COMPOSE_MIN = [2, 24] as const;

const cache = fileURLToPath(new URL('../../.cache/', import.meta.url));
const pidFile = join(cache, 'engine', 'dockerd.pid');
const logFile = join(cache, 'engine', 'dockerd.log');
const composeFile = join(cache, 'compose', 'docker-compose');

/** True when this call started it. @throws Error of one line that says what to do. */
export async function ensureEngine(): Promise<boolean> {
  if (engineAnswers()) return false;
  if (!exists('dockerd')) {
    if (process.getuid?.() !== 0 || !exists('apt-get') || !existsSync('/etc/debian_version')) {
      throw new Error(
        'A container engine is needed, and none answers: install Docker Engine (https://docs.docker.com/engine/install) or start the one that is there, then run this again.',
      );
    }
    process.stdout.write('No container engine here; installing the package docker.io ...\n');
    const quiet = { timeoutMs: INSTALL_MS_MAX, env: { DEBIAN_FRONTEND: 'noninteractive' } };
    run('apt-get', ['update', '-q'], quiet);
    run('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'docker.io', 'iptables'], quiet);
    if (engineAnswers()) return false;
  }
  if (process.getuid?.() !== 0) {
    throw new Error(
      'The container engine is installed and does not answer: start it (systemctl start docker), then run this again.',
    );
  }
  await startEngine();
  return true;
}

function engineAnswers(): boolean {
  try {
    return (
      exists('docker') && run('docker', ['info', '--format', '{{.ServerVersion}}'], { timeoutMs: 10_000 }).trim() !== ''
    );
  } catch {
    // Its only meaning here: nobody answers.
    return false;
  }
}

async function startEngine(): Promise<void> {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'w');
  const daemon = spawn('dockerd', [], { detached: true, stdio: ['ignore', log, log] });
  daemon.unref();
  writeFileSync(pidFile, `${daemon.pid ?? ''}\n`);
  const deadline = Date.now() + START_MS_MAX;
  while (!engineAnswers()) {
    if (daemon.exitCode !== null || Date.now() > deadline) {
      throw new Error(`dockerd did not come up (its log: ${logFile}): start a container engine, then run this again.`);
    }
    await pause(POLL_MS);
  }
  process.stdout.write(
    `Started the container engine (process ${daemon.pid ?? 0}, log ${logFile}); kill ${daemon.pid ?? 0} ends it.\n`,
  );
}

/** Ends the engine if this project started it. */
export function stopOwnEngine(): void {
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8'));
  rmSync(pidFile);
  try {
    // A number that has since gone to another process is left alone.
    if (/dockerd/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))) process.kill(pid, 'SIGTERM');
  } catch {
    // Gone already.
  }
}

export interface Compose {
  readonly command: string;
  /** What comes before compose's own arguments: `compose` for the engine's plugin, nothing for the program. */
  readonly prefix: readonly string[];
}

/** @throws Error of one line that says what to do. */
export function ensureCompose(): Compose {
  const found = [
    { command: 'docker', prefix: ['compose'] },
    { command: 'docker-compose', prefix: [] },
    { command: composeFile, prefix: [] },
  ].find(composeFits);
  if (found !== undefined) return found;
  if (!exists('apt-get') || !exists('dpkg')) throw new Error(composeByHand('none is here'));
  const work = join(dirname(composeFile), `work.${process.pid}`);
  mkdirSync(work, { recursive: true });
  try {
    const path = 'usr/libexec/docker/cli-plugins/docker-compose';
    const whole = join(work, 'whole');
    copyFileSync(fetchWithApt(work, { package: 'docker-compose', path }), whole);
    chmodSync(whole, 0o755);
    renameSync(whole, composeFile);
  } catch (error) {
    throw new Error(composeByHand(error instanceof Error ? error.message : String(error)), { cause: error });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return { command: composeFile, prefix: [] };
}

function composeFits({ command, prefix }: Compose): boolean {
  try {
    const [major = 0, minor = 0] = run(command, [...prefix, 'version', '--short'], { timeoutMs: 10_000 })
      .replace(/^v/, '')
      .split('.')
      .map(Number);
    return major > COMPOSE_MIN[0] || (major === COMPOSE_MIN[0] && minor >= COMPOSE_MIN[1]);
  } catch {
    // Not here, or too old to know the option.
    return false;
  }
}

function composeByHand(why: string): string {
  return `Docker Compose ${COMPOSE_MIN.join('.')} or newer is needed (${why}): install it (https://docs.docker.com/compose/install), then run this again.`;
}
