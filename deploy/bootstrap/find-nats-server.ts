/**
 * Where the nats-server of this machine is. An older server than the minimum is never used: it lacks the multi-key guards that
 * the store's transitions rest on (I1, I3).
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The first version whose guards on several keys hold. */
export const minimumVersion = '2.14.4';
/** What the project is tested with, and what is fetched where a version can be chosen. */
export const testedVersion = '2.15.1';

const root = fileURLToPath(new URL('../../', import.meta.url));
const cached = join('.cache', 'nats-server', 'bin', 'nats-server');

export type Candidate =
  | { readonly path: string; readonly fits: true; readonly version: string }
  | { readonly path: string; readonly fits: false; readonly why: string };

export interface Search {
  /** Absent when no server fits. */
  readonly found?: { readonly path: string; readonly version: string };
  /** One phrase per server that was looked at and passed over, naming its path. */
  readonly passedOver: readonly string[];
}

/** Runs `path --version` and compares with the minimum. */
export function inspectServer(path: string): Candidate {
  const run = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  if (run.error) return { path, fits: false, why: `${path} does not run (${run.error.message})` };
  const version = /v(\d+\.\d+\.\d+\S*)/.exec(run.stdout)?.[1];
  if (version === undefined) return { path, fits: false, why: `${path} does not say its version` };
  if (!isAtLeast(version, minimumVersion)) {
    return { path, fits: false, why: `${path} is ${version}, older than ${minimumVersion}` };
  }
  return { path, fits: true, version };
}

/** Compares `x.y.z`; a pre-release (`x.y.z-rc.1`) comes before its release. */
export function isAtLeast(version: string, minimum: string): boolean {
  const numbers = (text: string): readonly number[] => (text.split(/[-+]/)[0] ?? '').split('.').map(Number);
  const wanted = numbers(minimum);
  for (const [index, part] of numbers(version).entries()) {
    const other = wanted[index] ?? 0;
    if (part !== other) return part > other;
  }
  return !version.includes('-');
}

/**
 * Looks at NATS_SERVER_BIN alone when it is set, else at PATH and then at what `make` fetched below `projectRoot`.
 *
 * @throws Error when NATS_SERVER_BIN is set to a server that does not fit: a wish is refused, not replaced.
 */
export function searchNatsServer(env: NodeJS.ProcessEnv = process.env, projectRoot: string = root): Search {
  const wished = env['NATS_SERVER_BIN'];
  if (wished) {
    const candidate = inspectServer(resolve(wished));
    if (candidate.fits) return { found: candidate, passedOver: [] };
    throw new Error(
      `NATS_SERVER_BIN: ${candidate.why}: set it to a nats-server ${minimumVersion} or newer, or unset it.`,
    );
  }
  const passedOver: string[] = [];
  const onPath = (env['PATH'] ?? '').split(delimiter).filter(Boolean);
  for (const path of [...onPath.map((folder) => join(folder, 'nats-server')), join(projectRoot, cached)]) {
    if (!isExecutable(path)) continue;
    const candidate = inspectServer(path);
    if (candidate.fits) return { found: candidate, passedOver };
    passedOver.push(candidate.why);
  }
  return { passedOver };
}

/**
 * Absolute path of a nats-server that is new enough.
 *
 * @throws Error that says in one line what was looked at and what to do.
 */
export function natsServerBinary(): string {
  const search = searchNatsServer();
  if (search.found) return search.found.path;
  const seen = search.passedOver.length > 0 ? search.passedOver.join('; ') : 'none on PATH or in .cache';
  throw new Error(
    `A nats-server ${minimumVersion} or newer is needed (${seen}): run make broker, or set NATS_SERVER_BIN to one.`,
  );
}

/** Where `make` puts a fetched server. */
export function fetchedServerPath(): string {
  return join(root, cached);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
