/** The stack that `make up` starts, tried as it will be tried. The parts are in order: each goes on with the same stack. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { admin, close, open, stack, stranger } from './site.ts';

beforeAll(open);
afterAll(close);

await import('./parts/running.ts');
await import('./parts/stored.ts');
await import('./parts/faults.ts');
await import('./parts/recovery.ts');
await import('./parts/secrets.ts');

test('taking it down leaves no container, volume, network or secret', async () => {
  await stranger.close();
  await admin.close();
  expect(await stack.remove()).toEqual([]);
  expect(() => readFileSync(join(stack.secretsFolder, 'ca.crt'))).toThrow(/ENOENT/);
});
