/** Runs the checker as a process of its own. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Report } from './checker/judge.ts';

const CHECKER = fileURLToPath(new URL('./checker/main.ts', import.meta.url));
const REPORT_BYTES_MAX = 1_000_000;

export interface Judged {
  readonly url: string;
  readonly mesh: string;
  readonly rounds: number;
  /** Other streams than the mesh's own. */
  readonly dag?: string;
  readonly log?: string;
}

export interface Verdict {
  readonly report: Report;
  readonly exitCode: number;
  readonly seconds: number;
}

/** @throws Error when it ended without a report. */
export async function verdictOf({ url, mesh, rounds, dag, log }: Judged): Promise<Verdict> {
  const startedAt = performance.now();
  const args = ['--url', url, '--mesh', mesh, '--rounds', String(rounds)];
  if (dag !== undefined) args.push('--dag', dag);
  if (log !== undefined) args.push('--log', log);
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [CHECKER, ...args], { maxBuffer: REPORT_BYTES_MAX }, (error, stdout, stderr) => {
      const seconds = (performance.now() - startedAt) / 1_000;
      const line = stdout.trim();
      if (!line.startsWith('{')) return reject(new Error(`the checker said nothing: ${stderr}`, { cause: error }));
      resolve({ report: JSON.parse(line) as Report, exitCode: error === null ? 0 : Number(error.code), seconds });
    });
  });
}
