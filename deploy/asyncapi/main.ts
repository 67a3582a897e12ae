/** `node deploy/asyncapi/main.ts` writes docs/asyncapi.json; with `--check` it only says whether that file is current. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { asyncApiDocument } from './document.ts';
import { layOut } from './layout.ts';
import { faultsOf } from './validate.ts';

const folder = new URL('../../docs/', import.meta.url);
const path = fileURLToPath(new URL('asyncapi.json', folder));
const wanted = layOut(asyncApiDocument());

if (process.argv.includes('--check')) {
  const found = await readFile(path, 'utf8').catch(() => undefined);
  if (found !== wanted) {
    process.stderr.write('docs/asyncapi.json is not what shared/protocol says; run: make asyncapi\n');
    process.exitCode = 1;
  }
} else {
  const faults = await faultsOf(wanted);
  if (faults.length > 0) {
    process.stderr.write(`The generated document is no valid AsyncAPI, nothing was written:\n${faults.join('\n')}\n`);
    process.exitCode = 1;
  } else {
    await mkdir(folder, { recursive: true });
    await writeFile(path, wanted);
  }
}
