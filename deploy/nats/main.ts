/**
 * Turns the manifests of the agents into users of a NATS server: `accounts.conf` to include in its configuration, and a seed for each user. Run it again
 * after a manifest changed, an agent was added, or with --rotate to replace a key; then reload the server.
 */
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { type Wanted } from './boundaries.ts';
import { generate } from './generate.ts';

function wanted(text: string, before: readonly Wanted[] = []): readonly Wanted[] {
  const [folder, count] = /^([^=]+)=(\d+)$/.exec(text)?.slice(1) ?? [];
  if (folder === undefined || Number(count) < 1 || Number(count) > 1_000)
    throw new InvalidArgumentError('expected <folder of a service>=<1 to 1000>, e.g. services/coder=2');
  return [...before, { folder, count: Number(count) }];
}

const program = new Command('deploy/nats/main.ts')
  .requiredOption('--agents <folder=count>', 'a service and how many of it; repeat for each', wanted)
  .option('--mesh <name>', 'name of the mesh', 'mesh')
  .option('--submitters <names...>', 'users of your own that hand goals in', ['submitter'])
  .option('--rotate <names...>', 'users whose key is replaced', [])
  .option('--out <folder>', 'where accounts.conf and seeds/ are written', join('.cache', 'nats'))
  .parse();

const options = program.opts<{ agents: Wanted[]; mesh: string; submitters: string[]; rotate: string[]; out: string }>();
try {
  const { file, users, capabilities } = await generate(options);
  process.stdout.write(`${file}: ${users.length} users: ${users.join(', ')}\n`);
  process.stdout.write(`As admin: conclave admin init --capabilities ${capabilities.join(',')}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
