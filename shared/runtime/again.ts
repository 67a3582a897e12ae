/** The same program from its beginning, under the same process id: for settings that Node reads at its start only, and for a second choice of identity. */

/** Does not return, except where a process cannot be replaced (Windows), or where a channel to a parent process would be lost. */
export function beginAgain(env: NodeJS.ProcessEnv): void {
  if (process.platform === 'win32' || process.execve === undefined || process.connected) return;
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], env);
}
