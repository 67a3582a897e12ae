/** A folder that stands for a machine: a project's copy and nothing on PATH but what the test puts there. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** What any machine has. */
const basicNames = [
  'awk',
  'cat',
  'chmod',
  'cmp',
  'cp',
  'dirname',
  'env',
  'grep',
  'ln',
  'mkdir',
  'mv',
  'rm',
  'sed',
  'sh',
  'uname',
];

let basics: ReadonlyMap<string, string> | undefined;

export interface FakeMachine {
  readonly folder: string;
  /** Puts a shell script of that name on PATH. */
  command(name: string, script: string): string;
  file(path: string, text: string): string;
  run(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): CommandResult;
  remove(): void;
}

export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param paths what of the project is copied. */
export function fakeMachine(...paths: readonly string[]): FakeMachine {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-machine-'));
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  basics ??= new Map(basicNames.map((name) => [name, whereIs(name)]));
  for (const [name, path] of basics) symlinkSync(path, join(bin, name));
  for (const path of paths) cpSync(join(root, path), join(folder, path), { recursive: true });
  const file = (path: string, text: string): string => {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    return target;
  };
  return {
    folder,
    file,
    command(name, script) {
      const target = file(join('bin', name), `#!/bin/sh\n${script}\n`);
      chmodSync(target, 0o755);
      return target;
    },
    run: (command, args, env = {}) =>
      spawnSync(command, args, { cwd: folder, encoding: 'utf8', env: { PATH: bin, HOME: folder, ...env } }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Absolute path of a command of the real machine. */
export function whereIs(name: string): string {
  const found = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { encoding: 'utf8' }).stdout.trim();
  if (!found.startsWith('/'))
    throw new Error(`${name} is not on PATH (${(process.env['PATH'] ?? '').replaceAll(delimiter, ' ')}).`);
  return found;
}
