/** Loaded before an agent: says on stdout when it is ready, also when its log is silent. */
import { waitUntil } from '../support/wait.ts';

const START_MS_MAX = 30_000;
const url = `http://127.0.0.1:${process.env['HTTP_PORT'] ?? ''}/readyz`;

async function isReady(): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

void (async () => {
  await waitUntil('the agent is ready', isReady, START_MS_MAX);
  process.stdout.write('announced: ready\n');
})();
