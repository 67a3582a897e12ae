#!/usr/bin/env node
/** The command line: `node services/cli/main.ts --help`. */
import { enableCompileCache } from 'node:module';
import { compiledFolder } from '../../shared/runtime/compiled.ts';

// Before anything else is loaded: a command takes half as long with it.
enableCompileCache(compiledFolder(process.env));
const [{ EXIT }, { runCommandLine }, { processTerminal }] = await Promise.all([
  import('./failure.ts'),
  import('./program.ts'),
  import('./terminal.ts'),
]);

const interrupted = new AbortController();
process.on('SIGINT', () => {
  // The second time somebody means it: whatever still waits is left as it is.
  if (interrupted.signal.aborted) process.exit(EXIT.interrupted);
  interrupted.abort();
});
// A reader that has seen enough (`| head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.done);
});
process.exitCode = await runCommandLine(process.argv.slice(2), processTerminal(interrupted.signal));
