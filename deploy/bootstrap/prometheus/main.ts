/** Makes sure that Prometheus and promtool can be found, fetching both into .cache if the machine has none. Installs nothing. */
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { platform } from 'node:process';
import { exists, run } from '../command.ts';
import { fetchWithApt } from '../fetch-with-apt.ts';
import { cacheFolder, minimumVersion, programs, searchPrometheus, testedVersion, unfit } from './find.ts';

const byHand =
  `install Prometheus ${minimumVersion} or newer by hand (https://prometheus.io/download), ` +
  'put it and its promtool on PATH or name it in PROMETHEUS_BIN, then run make again.';

/** Each puts a program below `work` and returns its path, or throws an Error of one line. */
const sources = [
  {
    name: 'apt',
    available: () => exists('apt-get') && exists('dpkg'),
    fetch: (work: string, program: string) => fetchWithApt(work, { package: program, path: `usr/bin/${program}` }),
  },
  ...['docker', 'podman'].map((engine) => ({
    name: engine,
    available: () => platform === 'linux' && exists(engine),
    fetch: (work: string, program: string) => fromImage(engine, work, program),
  })),
];

try {
  const { found, passedOver } = searchPrometheus();
  for (const why of passedOver) process.stderr.write(`Passed over: ${why}.\n`);
  if (found === undefined) fetchPrograms();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function fetchPrograms(): void {
  const reasons: string[] = [];
  for (const source of sources) {
    if (!source.available()) continue;
    process.stdout.write(`No Prometheus ${minimumVersion} or newer here; trying ${source.name} ...\n`);
    const work = join(cacheFolder, `${source.name}.${process.pid}`);
    try {
      const whole = join(work, 'whole');
      mkdirSync(whole, { recursive: true });
      for (const program of programs) {
        // A folder for each: an archive's package is found by its name.
        const apart = join(work, program);
        mkdirSync(apart);
        copyFileSync(source.fetch(apart, program), join(whole, program));
        chmodSync(join(whole, program), 0o755);
        const why = unfit(join(whole, program));
        if (why !== undefined) throw new Error(why);
      }
      // Moved into place whole: nobody finds half of it.
      rmSync(join(cacheFolder, 'bin'), { recursive: true, force: true });
      renameSync(whole, join(cacheFolder, 'bin'));
      process.stdout.write(`Prometheus and promtool (${source.name}) are in ${join(cacheFolder, 'bin')}\n`);
      return;
    } catch (error) {
      reasons.push(`${source.name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  throw new Error(`No Prometheus could be fetched (${reasons.join('; ') || 'no source on this machine'}): ${byHand}`);
}

function fromImage(engine: string, work: string, program: string): string {
  // An engine's client without a running engine answers this at once.
  run(engine, ['info'], { timeoutMs: 5_000 });
  const image = `docker.io/prom/prometheus:v${testedVersion}`;
  const container = run(engine, ['create', image], { timeoutMs: 180_000 }).trim();
  try {
    run(engine, ['cp', `${container}:/bin/${program}`, join(work, program)], { timeoutMs: 60_000 });
  } finally {
    run(engine, ['rm', container], { timeoutMs: 30_000 });
  }
  return join(work, program);
}
