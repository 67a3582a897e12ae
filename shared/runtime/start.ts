/**
 * Starts an agent with settings that are read at the very start of a process only, so it begins again, under the same process id, with those
 * that are missing in its environment.
 */
import { beginAgain } from './again.ts';
import { compiledFolder } from './compiled.ts';
import type { Manifest } from './manifest.ts';

const SETTINGS: Readonly<Record<string, string>> = {
  // Code is stripped of types and compiled once a machine, not once a start. With the cache, the part of Node that strips types is not even
  // loaded, which is 15 MB of an idle agent's memory.
  NODE_COMPILE_CACHE: compiledFolder(process.env),
  // glibc gives each thread that compiles or collects garbage a heap of its own, and keeps what each held at its worst: 5 MB of an idle agent. With
  // one heap for all of them a task takes as much processor time as before.
  MALLOC_ARENA_MAX: '1',
};

/** `problem`: one line that says which of the agent's own variables cannot be used; the agent ends with EXIT_CONFIG. */
export type Loaded = { readonly manifest: Manifest } | { readonly problem: string };

export async function start(load: () => Promise<Loaded>): Promise<void> {
  if (process.argv.includes('--manifest')) return describe(await load());
  if (Object.keys(SETTINGS).some((name) => process.env[name] === undefined))
    beginAgain({ ...SETTINGS, ...process.env });
  const [{ runAgent }, { EXIT_CONFIG }, loaded] = await Promise.all([
    import('./agent.ts'),
    import('./config.ts'),
    load(),
  ]);
  if ('manifest' in loaded) return runAgent(loaded.manifest);
  process.stderr.write(`${loaded.problem}\n`);
  process.exitCode = EXIT_CONFIG;
}

/** What of the manifest others need to know before the agent runs: the broker's permissions are made from it. */
function describe(loaded: Loaded): void {
  if ('problem' in loaded) {
    process.stderr.write(`${loaded.problem}\n`);
    process.exitCode = 1;
    return;
  }
  const { role, responsibility, version, capabilities, mayMessage, usesModel } = loaded.manifest;
  const boundary = { role, responsibility, version, capabilities: Object.keys(capabilities), mayMessage, usesModel };
  process.stdout.write(`${JSON.stringify(boundary)}\n`);
}
