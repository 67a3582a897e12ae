/** `make audit`: advisories for the locked packages, those of development included. Exits 1 for findings only. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { auditReport } from './report.ts';

const AUDIT_MS_MAX = 120_000;
const root = fileURLToPath(new URL('../../../', import.meta.url));

const { stdout } = spawnSync('npm', ['audit', '--json', '--package-lock-only'], {
  encoding: 'utf8',
  cwd: root,
  timeout: AUDIT_MS_MAX,
  maxBuffer: 64 * 1024 * 1024,
});
const { lines, exitCode } = auditReport(stdout ?? '');
process.stdout.write(`${lines.join('\n')}\n`);
process.exitCode = exitCode;
