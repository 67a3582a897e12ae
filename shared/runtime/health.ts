/** Whether the agent can work, and if not, why not: the checks behind `/readyz`. A check that was never passed is failed. */
import { timestamp } from '../protocol/ids.ts';

export const CHECKS = ['broker', 'consumers', 'model', 'stopping'] as const;
export type CheckName = (typeof CHECKS)[number];

export interface CheckReport {
  readonly check: CheckName;
  readonly ok: boolean;
  /** What was expected, what came, and what to do; only with `ok: false`. */
  readonly reason?: string;
  /** Since when it is so. */
  readonly since: string;
}

/** Body of `/readyz`. */
export interface HealthReport {
  readonly status: 'ready' | 'not ready';
  /** Names of the failed checks. */
  readonly unready: readonly CheckName[];
  readonly checks: readonly CheckReport[];
}

export interface Health {
  pass(check: CheckName): void;
  fail(check: CheckName, reason: string): void;
  report(): HealthReport;
}

export interface HealthEvents {
  /** Called once for each check at the start (`first`), when it was made for the first time and failed, and on each change of `ok`. */
  changed(report: CheckReport, first: boolean): void;
}

/** `initially`: the checks of this agent, each with the reason why it is not passed yet; an empty one is passed. */
export function healthOf(
  initially: Partial<Record<CheckName, string>>,
  events: HealthEvents,
  now: () => number = Date.now,
): Health {
  const checks = new Map<CheckName, CheckReport>();
  const made = new Set<CheckName>();
  function put(check: CheckName, reason: string): void {
    const before = checks.get(check);
    const ok = reason === '';
    const since = before?.ok === ok ? before.since : timestamp(now());
    const report: CheckReport = { check, ok, ...(ok ? {} : { reason }), since };
    checks.set(check, report);
    const firstVerdict = before !== undefined && reason !== initially[check] && !made.has(check);
    if (firstVerdict) made.add(check);
    if (firstVerdict || before?.ok !== ok) events.changed(report, before === undefined);
  }
  for (const check of CHECKS) {
    const reason = initially[check];
    if (reason !== undefined) put(check, reason);
  }
  return {
    pass: (check) => put(check, ''),
    fail: put,
    report() {
      const all = [...checks.values()];
      const unready = all.filter(({ ok }) => !ok).map(({ check }) => check);
      return { status: unready.length === 0 ? 'ready' : 'not ready', unready, checks: all };
    },
  };
}
