/** The rules of .dependency-cruiser.cjs, applied to the whole tree, and proof that the whole tree was seen. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { cruise } from 'dependency-cruiser';
import extractConfig from 'dependency-cruiser/config-utl/extract-depcruise-config';

const folders = ['shared', 'services', 'deploy', 'test'];

export interface ImportReport {
  readonly modules: number;
  readonly imports: number;
  /** One line each: rule, importer, imported, and why the rule is. */
  readonly violations: readonly string[];
  /** One line per sign that the tool did not see what is there, in which case no violation means nothing. */
  readonly blindSpots: readonly string[];
}

/**
 * @param root the project's folder.
 * @param fewestModules below this number of modules the tree itself cannot be the right one.
 */
export async function checkImports(root: string, fewestModules: number): Promise<ImportReport> {
  const config = await extractConfig(join(root, '.dependency-cruiser.cjs'));
  const present = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const roots = folders.filter((folder) => present.some((entry) => entry.name === folder));
  const { output } = await cruise(roots, {
    ...config.options,
    ruleSet: { forbidden: config.forbidden ?? [] },
    baseDir: root,
    validate: true,
  });
  if (typeof output === 'string') throw new Error('dependency-cruiser answered with text instead of a result.');

  const reasons = new Map((config.forbidden ?? []).map((rule) => [rule.name, rule.comment]));
  const files = roots.flatMap((folder) => sourceFiles(root, folder));
  const seen = new Map(output.modules.map((module) => [module.source, module.dependencies.length]));
  const blindSpots = files.flatMap((file) => {
    const imports = seen.get(file);
    if (imports === undefined) return [`${file} was not looked at`];
    return imports === 0 && hasImport(join(root, file)) ? [`no import was seen in ${file}, which has some`] : [];
  });
  if (files.length < fewestModules)
    blindSpots.push(`only ${files.length} modules where at least ${fewestModules} belong`);
  return {
    modules: files.length,
    imports: output.summary.totalDependenciesCruised ?? 0,
    violations: output.summary.violations.map(
      ({ rule, from, to }) => `${rule.name}: ${from} -> ${to}  (${reasons.get(rule.name) ?? 'no reason given'})`,
    ),
    blindSpots,
  };
}

function sourceFiles(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

function hasImport(file: string): boolean {
  return /^(import|export)\b[^;]*?\bfrom '/m.test(readFileSync(file, 'utf8'));
}
