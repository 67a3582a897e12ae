/**
 * Mermaid's own parser. It comes with all of Mermaid (200 MB with what that stands on), which nobody else here needs, so only its one self-contained
 * bundle is fetched, into .cache/, when the first test wants it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

/** Resolves to the kind of the diagram. @throws Error with the place of the first mistake. */
export type MermaidParse = (text: string) => Promise<string>;

const run = promisify(execFile);
const CACHE = fileURLToPath(new URL('../../.cache/', import.meta.url));
const VERSION = '12.3.0';
/** Of the package as npm serves it. */
const INTEGRITY = 'sha512-4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw==';
const BUNDLE = ['package/dist/mermaid.esm.min.mjs', 'package/dist/chunks/mermaid.esm.min'];

export async function mermaidParser(): Promise<MermaidParse> {
  const home = join(CACHE, `mermaid-${VERSION}`);
  const entry = join(home, 'package/dist/mermaid.esm.min.mjs');
  if (!existsSync(entry)) await fetchInto(home);
  const bundle = (await import(pathToFileURL(entry).href)) as {
    readonly default: { parse(text: string): Promise<{ readonly diagramType: string }> };
  };
  return async (text) => (await bundle.default.parse(text)).diagramType;
}

async function fetchInto(home: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, 'mermaid-new-'));
  try {
    await run('npm', ['pack', `mermaid@${VERSION}`, '--silent', '--pack-destination', folder], { cwd: folder });
    const archive = join(folder, `mermaid-${VERSION}.tgz`);
    const hash = `sha512-${createHash('sha512')
      .update(await readFile(archive))
      .digest('base64')}`;
    if (hash !== INTEGRITY) throw new Error(`expected ${INTEGRITY}, got ${hash}`);
    await run('tar', ['-xzf', archive, '-C', folder, ...BUNDLE]);
    await rm(archive);
    // Another test process may have been quicker; its copy is as good.
    await rename(folder, home).catch(() => undefined);
  } catch (error) {
    throw new Error(
      `mermaid@${VERSION} could not be fetched from npm's registry (${String(error)}): see that npm reaches it, then run the test again`,
      { cause: error },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
