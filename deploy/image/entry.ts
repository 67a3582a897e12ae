/** What the image runs: the service that its first argument names, with the rest of the arguments. `cli` is the command line. */
import { readdirSync } from 'node:fs';

/** EX_USAGE would be 64; the command line's own code for a wrong usage is 2. */
const EXIT_USAGE = 2;

const services = new URL('../../services/', import.meta.url);
const names = readdirSync(services);
const [name, ...rest] = process.argv.slice(2);

if (name !== undefined && names.includes(name)) {
  const main = new URL(`${name}/main.ts`, services);
  process.argv.splice(1, process.argv.length - 1, main.pathname, ...rest);
  await import(main.href);
} else {
  process.stderr.write(`expected a service as the command (${names.join(', ')}), got ${JSON.stringify(name ?? '')}\n`);
  process.exitCode = EXIT_USAGE;
}
