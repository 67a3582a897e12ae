/** `make sources`: exits 1 when a source breaks one of the rules, or when too few sources were seen to mean anything. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sourceProblems } from './rules.ts';

/** Far below the size of the tree, far above what a wrong folder leaves. */
const fewestFiles = 50;

const root = fileURLToPath(new URL('../../../', import.meta.url));
const files = ['shared', 'services', 'deploy', 'test'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name)),
);
const problems = files.flatMap((file) =>
  sourceProblems(relative(root, file).replaceAll(sep, '/'), readFileSync(file, 'utf8')),
);
if (files.length < fewestFiles) problems.push(`only ${files.length} sources where at least ${fewestFiles} belong`);
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(`${files.length} sources, ${problems.length} problems\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
