/** `make up` and `make down`: a whole mesh in containers on this host. */
import { ensureCompose, ensureEngine } from '../engine/engine.ts';
import { optionsFrom } from './options.ts';
import { stackOf } from './stack.ts';
import { up } from './up.ts';

try {
  const [verb] = process.argv.slice(2);
  await ensureEngine();
  const compose = ensureCompose();
  if (verb === 'up') await up(compose, optionsFrom());
  else if (verb === 'down') stackOf(compose, optionsFrom()).remove();
  else throw new Error(`expected up or down, got ${JSON.stringify(verb ?? '')}`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
