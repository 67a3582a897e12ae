/** `make up` and `make down`: a whole mesh in containers on this host. `make secrets`: what it, or a cluster, mounts. */
import { ensureCompose, ensureEngine } from '../engine/engine.ts';
import { optionsFrom } from './options.ts';
import { ensureSecrets } from './secrets.ts';
import { secretsFolder, stackOf } from './stack.ts';
import { up } from './up.ts';

try {
  const [verb = ''] = process.argv.slice(2);
  const options = optionsFrom();
  switch (verb) {
    case 'up':
      await ensureEngine();
      await up(ensureCompose(), options);
      break;
    case 'down':
      await ensureEngine();
      stackOf(ensureCompose(), options).remove();
      break;
    case 'secrets':
      await ensureSecrets(secretsFolder(options.project), options.secrets);
      process.stdout.write(`${secretsFolder(options.project)}\n`);
      break;
    default:
      throw new Error(`expected up, down or secrets, got ${JSON.stringify(verb)}`);
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
