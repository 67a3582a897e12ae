/**
 * Starts an agent with Node's compile cache on: code is compiled once a machine, not once a start. It must be enabled before the modules that it is to
 * serve are loaded, hence the dynamic imports.
 */
import { enableCompileCache } from 'node:module';
import type { Manifest } from './manifest.ts';

/** `problem`: one line that says which of the agent's own variables cannot be used; the agent ends with EXIT_CONFIG. */
export type Loaded = { readonly manifest: Manifest } | { readonly problem: string };

export async function start(load: () => Promise<Loaded>): Promise<void> {
  enableCompileCache();
  const [{ runAgent }, { EXIT_CONFIG }, loaded] = await Promise.all([
    import('./agent.ts'),
    import('./config.ts'),
    load(),
  ]);
  if ('manifest' in loaded) return runAgent(loaded.manifest);
  process.stderr.write(`${loaded.problem}\n`);
  process.exitCode = EXIT_CONFIG;
}
