/** Loaded before a process (`NODE_OPTIONS=--import=...`): says on stderr, when it ends, which parts of Node it has loaded. */
import { writeSync } from 'node:fs';

process.on('exit', () => {
  const { moduleLoadList } = process as { readonly moduleLoadList?: readonly string[] };
  writeSync(2, (moduleLoadList ?? []).map((part) => `${part}\n`).join(''));
});
