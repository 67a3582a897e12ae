/** `node deploy/monitoring/main.ts` writes what is made from code; with `--check` it only says which file is not current. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { monitoringFiles } from './files.ts';

for (const [path, wanted] of monitoringFiles()) {
  const file = fileURLToPath(new URL(`../../${path}`, import.meta.url));
  const found = await readFile(file, 'utf8').catch(() => undefined);
  if (found === wanted) continue;
  if (process.argv.includes('--check')) {
    process.stderr.write(`${path} is not what the code says; run: make monitoring\n`);
    process.exitCode = 1;
  } else {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, wanted);
    process.stdout.write(`${path}\n`);
  }
}
