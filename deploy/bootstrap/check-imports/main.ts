/** `make imports`: exits 1 when a layer imports what it must not, or when the check saw less than the whole tree. */
import { fileURLToPath } from 'node:url';
import { checkImports } from './imports.ts';

/** Far below the size of the tree, far above what a wrong folder or a blind parser leaves. */
const fewestModules = 50;

const report = await checkImports(fileURLToPath(new URL('../../../', import.meta.url)), fewestModules);
for (const line of [...report.violations, ...report.blindSpots]) process.stderr.write(`${line}\n`);
const problems = report.violations.length + report.blindSpots.length;
process.stdout.write(`${report.modules} modules, ${report.imports} imports, ${problems} problems\n`);
process.exitCode = problems > 0 ? 1 : 0;
