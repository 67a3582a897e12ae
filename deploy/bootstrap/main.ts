/** Makes sure that a nats-server new enough can be found, fetching one into .cache if the machine has none. */
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fetchedServerPath, inspectServer, minimumVersion, searchNatsServer } from './find-nats-server.ts';
import { serverSources } from './nats-server-sources.ts';

const byHand =
  `install nats-server ${minimumVersion} or newer by hand (https://github.com/nats-io/nats-server/releases), ` +
  'put it on PATH or name it in NATS_SERVER_BIN, then run make again.';

try {
  const search = searchNatsServer();
  for (const why of search.passedOver) process.stderr.write(`Passed over: ${why}.\n`);
  if (!search.found) fetchServer();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function fetchServer(): void {
  const target = fetchedServerPath();
  const home = dirname(dirname(target));
  const reasons: string[] = [];
  for (const source of serverSources) {
    if (!source.available()) continue;
    process.stdout.write(`No nats-server ${minimumVersion} or newer here; trying ${source.name} ...\n`);
    const work = join(home, `${source.name}.${process.pid}`);
    mkdirSync(work, { recursive: true });
    try {
      // Moved into place whole: nobody finds half a server.
      const whole = join(work, 'whole');
      copyFileSync(source.fetch(work), whole);
      chmodSync(whole, 0o755);
      const candidate = inspectServer(whole);
      if (!candidate.fits) throw new Error(candidate.why);
      mkdirSync(dirname(target), { recursive: true });
      renameSync(whole, target);
      process.stdout.write(`nats-server ${candidate.version} (${source.name}) is in ${target}\n`);
      return;
    } catch (error) {
      reasons.push(`${source.name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  throw new Error(`No nats-server could be fetched (${reasons.join('; ') || 'no source on this machine'}): ${byHand}`);
}
