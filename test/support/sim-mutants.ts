/** Copies of the engine from which one guard was removed, and the simulation run on them: it must see what the guard kept away. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One edit of a source. `from` must stand in it exactly once. */
export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Outcome {
  readonly exitCode: number | null;
  readonly output: string;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const COPIED = ['shared', 'test/support', 'test/sim/main.ts'];

/** Below the project's own folder, so that the copy finds its packages. */
function copyOf(name: string): string {
  const folder = join(root, '.cache', 'mutants', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const path of COPIED) cpSync(join(root, path), join(folder, path), { recursive: true });
  return folder;
}

/** The text, however it is broken into lines: a formatter's line breaks and closing commas are none of its meaning. */
function pattern(text: string): RegExp {
  const words = text.trim().split(/\s+/);
  return new RegExp(words.map((word) => RegExp.escape(word)).join(',?\\s*'), 'g');
}

/**
 * Plays schedules on a copy of the sources with these edits, until the first violation that `finds` matches.
 *
 * @throws Error when an edit does not fit the source any more: a mutant that changes nothing proves nothing.
 */
export async function simulateMutant(
  name: string,
  edits: readonly Edit[],
  schedules: number,
  finds = /./,
): Promise<Outcome> {
  const folder = copyOf(name);
  try {
    for (const { file, from, to } of edits) {
      const path = join(folder, file);
      const source = readFileSync(path, 'utf8');
      const found = source.match(pattern(from))?.length ?? 0;
      if (found !== 1)
        throw new Error(
          `${file}: expected this text once, found it ${found} times; bring the mutant up to date: ${from}`,
        );
      writeFileSync(
        path,
        source.replace(pattern(from), () => to),
      );
    }
    return await run(join(folder, 'test/sim/main.ts'), schedules, finds);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(main: string, schedules: number, finds: RegExp): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const args = ['--schedules', String(schedules), '--seed', '1', '--harsh', '--until', finds.source];
    const child = spawn(process.execPath, [main, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => (output += text));
    }
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, output }));
  });
}
