/** Removes from the folder of packages named on the command line what no process loads. warm.ts fails the build if it was too much. */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Types, source maps, documents and settings of packages; never a licence. */
const unread = /\.(d\.[cm]?ts|[cm]?ts|map|md|markdown|ya?ml|html|tsbuildinfo)$|^(\.|tsconfig.*\.json$|biome\.json$)/i;
const kept = /licen[cs]e|notice|copying|authors/i;
const unreadFolders = new Set([
  'test',
  'tests',
  '__tests__',
  'docs',
  'doc',
  'example',
  'examples',
  'benchmark',
  'benchmarks',
  'bench',
]);

/** What is not loaded of the largest packages. */
const unreadOfPackages: Readonly<Record<string, readonly string[]>> = {
  // Sources, CommonJS twins, and vocabularies of encodings other than o200k, the one that openai-tokens.ts loads.
  'gpt-tokenizer': ['src', 'cjs', 'data', ...['cl100k', 'p50k', 'r50k'].map((name) => `esm/bpeRanks/${name}_base.js`)],
  openai: ['src'],
  zod: ['src'],
};

/** Packages with a second copy of each module for the module system that is not used: which of two neighbours goes. */
const twins: Readonly<Record<string, { readonly kept: string; readonly gone: string }>> = {
  openai: { kept: '.mjs', gone: '.js' },
  zod: { kept: '.js', gone: '.cjs' },
};

const root = process.argv[2];
if (root === undefined) throw new Error('usage: prune.ts <folder of packages>');
let removed = 0;

function remove(path: string): void {
  removed += 1;
  rmSync(path, { recursive: true, force: true });
}

function prune(folder: string, insidePackage: boolean): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (insidePackage && unreadFolders.has(entry.name)) remove(path);
      else prune(path, insidePackage || !(entry.name.startsWith('@') || entry.name === 'node_modules'));
    } else if (unread.test(entry.name) && !kept.test(entry.name)) remove(path);
  }
}

for (const [name, paths] of Object.entries(unreadOfPackages)) {
  for (const path of paths) {
    // A new version that has moved its files would quietly grow the image.
    statSync(join(root, name, path));
    remove(join(root, name, path));
  }
}
for (const [name, { kept: stays, gone }] of Object.entries(twins)) {
  const files = new Set(readdirSync(join(root, name), { recursive: true, encoding: 'utf8' }));
  const staying = [...files].filter((file) => file.endsWith(stays));
  // Some keep a state that both systems share in the twin.
  const imports = staying.flatMap((file) => [
    ...readFileSync(join(root, name, file), 'utf8').matchAll(/['"]\.{1,2}\/([^'"]+)['"]/g),
  ]);
  const imported = new Set(imports.map(([, specifier = '']) => basename(specifier)));
  for (const file of staying) {
    const twin = `${file.slice(0, -stays.length)}${gone}`;
    if (files.has(twin) && !imported.has(basename(twin))) remove(join(root, name, twin));
  }
}
prune(root, false);
process.stdout.write(`${removed} files and folders that nothing loads are gone\n`);
