/** Which metrics a query reads, as far as names tell; whether there are any such series is what `make observability` shows. */
import type { Recording } from './rules.ts';

/** Names of metrics and of recorded series in an expression of PromQL. */
export function namesIn(expr: string): readonly string[] {
  const bare = expr
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
    .replaceAll(/\{[^}]*\}/g, '{}')
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ');
  const words = bare.matchAll(/[A-Za-z_:][A-Za-z0-9_:]*(?![A-Za-z0-9_:]|\s*\()/g);
  return [...new Set([...words].map(([word]) => word))].filter(
    (word) => /[_:]|^(up|ALERTS)$/.test(word) && !KEYWORDS.has(word),
  );
}

const KEYWORDS = new Set(['group_left', 'group_right']);

/** The metric of a series: a histogram's are written with a suffix. */
export function metricOf(series: string): string {
  return series.replace(/_(bucket|sum|count)$/, '');
}

/** What a query reads in the end, recorded series taken apart. */
export function metricsRead(expr: string, recordings: readonly Recording[]): readonly string[] {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const rule of recordings.filter(({ record }) => record === name)) namesIn(rule.expr).forEach(visit);
  };
  namesIn(expr).forEach(visit);
  return [...seen];
}
