/**
 * Where a nats-server can be had when the machine has none that fits. Each source puts one below `work` and returns its path, or
 * throws an Error of one line; none installs anything on the machine. Whether the version fits is for the caller to check.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { arch, platform } from 'node:process';
import { join } from 'node:path';
import { exists, run } from './command.ts';
import { fetchWithApt } from './fetch-with-apt.ts';
import { inspectServer, testedVersion } from './find-nats-server.ts';

export interface ServerSource {
  readonly name: string;
  /** Whether this machine has what the source needs; false costs no time. */
  available(): boolean;
  fetch(work: string): string;
}

export const serverSources: readonly ServerSource[] = [
  {
    name: 'apt',
    available: () => exists('apt-get') && exists('dpkg'),
    fetch: (work) => fetchWithApt(work, { package: 'nats-server', path: 'usr/sbin/nats-server' }),
  },
  // On macOS the image holds a Linux executable.
  {
    name: 'docker',
    available: () => platform === 'linux' && exists('docker'),
    fetch: (work) => fromImage('docker', work),
  },
  {
    name: 'podman',
    available: () => platform === 'linux' && exists('podman'),
    fetch: (work) => fromImage('podman', work),
  },
  { name: 'brew', available: () => exists('brew'), fetch: fromBrew },
  { name: 'release', available: () => exists('curl') && exists('tar'), fetch: fromRelease },
];

function fromImage(engine: string, work: string): string {
  // An engine's client without a running engine answers this at once.
  run(engine, ['info'], { timeoutMs: 5_000 });
  const container = run(engine, ['create', `docker.io/library/nats:${testedVersion}`], { timeoutMs: 120_000 }).trim();
  const binary = join(work, 'nats-server');
  try {
    run(engine, ['cp', `${container}:/nats-server`, binary], { timeoutMs: 60_000 });
  } finally {
    run(engine, ['rm', container], { timeoutMs: 30_000 });
  }
  return binary;
}

/** The server that Homebrew has installed, else its bottle: downloaded and verified by Homebrew, unpacked here. */
function fromBrew(work: string): string {
  const env = { HOMEBREW_NO_AUTO_UPDATE: '1', HOMEBREW_NO_ENV_HINTS: '1' };
  const installed = join(
    run('brew', ['--prefix', 'nats-server'], { timeoutMs: 15_000, env }).trim(),
    'bin',
    'nats-server',
  );
  if (existsSync(installed) && inspectServer(installed).fits) return installed;
  run('brew', ['fetch', '--quiet', 'nats-server'], { timeoutMs: 180_000, env });
  const bottle = run('brew', ['--cache', 'nats-server'], { timeoutMs: 15_000, env }).trim();
  run('tar', ['-xzf', bottle, '-C', work], { timeoutMs: 60_000 });
  const version = readdirSync(join(work, 'nats-server')).find((name) => /^\d/.test(name));
  if (version === undefined) throw new Error(`${bottle} holds no nats-server/<version>`);
  return join(work, 'nats-server', version, 'bin', 'nats-server');
}

/**
 * The official archive, checked against the SHA256SUMS of the same release. Both come over HTTPS from the same place, so the
 * checksum guards against a damaged or truncated download; who serves it is vouched for by TLS alone.
 */
function fromRelease(work: string): string {
  const goArch = new Map([
    ['x64', 'amd64'],
    ['arm64', 'arm64'],
    ['arm', 'arm7'],
  ]).get(arch);
  if (goArch === undefined || !['linux', 'darwin'].includes(platform)) {
    throw new Error(`there is no official archive for ${platform} ${arch}`);
  }
  const name = `nats-server-v${testedVersion}-${platform}-${goArch}`;
  const base = `https://github.com/nats-io/nats-server/releases/download/v${testedVersion}`;
  const download = (file: string): string => {
    const target = join(work, file);
    const limits = ['--connect-timeout', '10', '--max-time', '180'];
    run('curl', ['-fsSL', '--proto', '=https', ...limits, '-o', target, `${base}/${file}`], { timeoutMs: 200_000 });
    return target;
  };
  const archive = download(`${name}.tar.gz`);
  const expected = checksumOf(`${name}.tar.gz`, readFileSync(download('SHA256SUMS'), 'utf8'));
  const actual = createHash('sha256').update(readFileSync(archive)).digest('hex');
  if (actual !== expected)
    throw new Error(`${name}.tar.gz has SHA-256 ${actual}, its release says ${expected ?? 'nothing'}`);
  mkdirSync(join(work, 'release'));
  run('tar', ['-xzf', archive, '-C', join(work, 'release')], { timeoutMs: 60_000 });
  return join(work, 'release', name, 'nats-server');
}

/** The checksum of one file in the format of `sha256sum`. */
export function checksumOf(file: string, sums: string): string | undefined {
  for (const line of sums.split('\n')) {
    const [sum, name] = line.trim().split(/\s+\*?/);
    if (name === file && sum !== undefined && /^[0-9a-f]{64}$/.test(sum)) return sum;
  }
  return undefined;
}
