/** Where Prometheus and promtool of this machine are. Only tests need them: whoever runs a mesh has a Prometheus already, or the stack's. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAtLeast } from '../find-nats-server.ts';

/** The first version that tells which metrics a query reads. */
export const minimumVersion = '3.0.0';
/** What the project is tested with, and what is fetched where a version can be chosen. */
export const testedVersion = '3.5.3';

export const programs = ['prometheus', 'promtool'] as const;

/** Paths of both programs. */
export type Programs = Readonly<Record<(typeof programs)[number], string>>;

export interface Search {
  readonly found?: Programs;
  /** One phrase for each that was looked at and passed over. */
  readonly passedOver: readonly string[];
}

export const cacheFolder = fileURLToPath(new URL('../../../.cache/prometheus/', import.meta.url));

/** Why the program cannot be used; undefined when it can. */
export function unfit(path: string): string | undefined {
  const run = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  if (run.error) return `${path} does not run (${run.error.message})`;
  // promtool of older versions writes to stderr.
  const version = /version (\d+\.\d+\.\d+)/.exec(`${run.stdout}${run.stderr}`)?.[1];
  if (version === undefined) return `${path} does not say its version`;
  return isAtLeast(version, minimumVersion) ? undefined : `${path} is ${version}, older than ${minimumVersion}`;
}

/** Looks beside PROMETHEUS_BIN alone when it is set, else on PATH and then at what `make` fetched. */
export function searchPrometheus(env: NodeJS.ProcessEnv = process.env, cache: string = cacheFolder): Search {
  const wished = env['PROMETHEUS_BIN'];
  const onPath = (env['PATH'] ?? '').split(delimiter).filter(Boolean);
  const folders = wished ? [dirname(wished)] : [...onPath, join(cache, 'bin')];
  const passedOver: string[] = [];
  for (const folder of folders) {
    const [prometheus, promtool] = programs.map((name) => join(folder, name));
    if (prometheus === undefined || promtool === undefined || !existsSync(prometheus)) continue;
    const why = existsSync(promtool) ? (unfit(prometheus) ?? unfit(promtool)) : `${promtool} is not there`;
    if (why === undefined) return { found: { prometheus, promtool }, passedOver };
    passedOver.push(why);
  }
  return { passedOver };
}

/** @throws Error that says in one line what was looked at and what to do. */
export function prometheusPrograms(): Programs {
  const { found, passedOver } = searchPrometheus();
  if (found !== undefined) return found;
  const seen = passedOver.length > 0 ? passedOver.join('; ') : 'none beside PROMETHEUS_BIN, on PATH or in .cache';
  throw new Error(
    `Prometheus ${minimumVersion} or newer with its promtool is needed (${seen}): run make prometheus, or set PROMETHEUS_BIN.`,
  );
}
