/** Where Node keeps what it compiled, so that types are stripped and code is compiled once a machine, not once a start. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** For its owner alone, unlike a folder for temporary files: whoever can write there can make Node run anything. */
export function compiledFolder(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'conclave', 'compiled');
}
