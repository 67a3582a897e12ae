/** The figures as tables for docs/patterns.md and for whoever watches. */
import type { Figures, Recovery } from './figures.ts';
import { PATTERNS, type Pattern } from './setting.ts';

export interface Measured {
  readonly calm: Figures;
  readonly struck: Figures;
}

type Row = readonly [string, (measured: Measured) => string];

const MICRO = 1e6;

const seconds = (ms: number): string => (ms / 1_000).toFixed(2);
const one = (value: number): string => value.toFixed(1);
const micros = (usd: number): string => (usd * MICRO).toFixed(0);

function recovered({ strikes, hits, ms }: Recovery): string {
  const times = ms.map(seconds).join(', ');
  return hits === 0 ? `0 of ${strikes} hit` : `${hits} of ${strikes} hit; ${times || 'never'}`;
}

const CALM: readonly Row[] = [
  ['latency p50, s', ({ calm }) => seconds(calm.p50)],
  ['latency p99, s', ({ calm }) => seconds(calm.p99)],
  ['completed', ({ calm }) => `${calm.completed} of ${calm.goals}`],
  ['tasks', ({ calm }) => one(calm.tasks)],
  ['model calls', ({ calm }) => one(calm.calls)],
  ['messages between agents', ({ calm }) => one(calm.messages)],
  ['records written', ({ calm }) => one(calm.records)],
  ['cost predicted, USD / 1,000,000', ({ calm }) => micros(calm.predictedUsd)],
  ['cost measured, USD / 1,000,000', ({ calm }) => micros(calm.usd)],
];

const STRUCK: readonly Row[] = [
  ['latency p50, s', ({ struck }) => seconds(struck.p50)],
  ['latency p99, s', ({ struck }) => seconds(struck.p99)],
  ['completed', ({ struck }) => `${struck.completed} of ${struck.goals}`],
  ['agent killed: work elsewhere after, s', ({ struck }) => recovered(struck.recovery.agent)],
  ['planner killed: work elsewhere after, s', ({ struck }) => recovered(struck.recovery.planner)],
  ['broker killed: next record after, s', ({ struck }) => recovered(struck.recovery.broker)],
  ['model calls', ({ struck }) => one(struck.calls)],
  ['messages between agents', ({ struck }) => one(struck.messages)],
  ['cost measured, USD / 1,000,000', ({ struck }) => micros(struck.usd)],
];

export function calmTable(measured: ReadonlyMap<Pattern, Measured>): string {
  return table(CALM, measured);
}

export function struckTable(measured: ReadonlyMap<Pattern, Measured>): string {
  return table(STRUCK, measured);
}

function table(rows: readonly Row[], measured: ReadonlyMap<Pattern, Measured>): string {
  const cells = rows.map(([label, cell]) => [
    label,
    ...PATTERNS.map((pattern) => {
      const found = measured.get(pattern);
      return found === undefined ? '-' : cell(found);
    }),
  ]);
  return markdown([['', ...PATTERNS], ...cells]);
}

/** The article's words, beside what stands for each of them. */
const WORDS: Readonly<Record<Pattern, readonly [string, string, string]>> = {
  sequential: ['High', 'Low', 'Low'],
  parallel: ['Low', 'Medium', 'Medium'],
  orchestrator: ['Medium', 'High', 'High'],
  'peer-to-peer': ['Low', 'High', 'Very High'],
};

export function wordsTable(measured: ReadonlyMap<Pattern, Measured>): string {
  const rows = PATTERNS.map((pattern) => {
    const [latency, tolerance, complexity] = WORDS[pattern];
    const found = measured.get(pattern);
    if (found === undefined) return [pattern, latency, '-', tolerance, '-', complexity, '-'];
    const { calm, struck } = found;
    const times = Object.values(struck.recovery).flatMap(({ ms }) => ms);
    const worst = times.length === 0 ? '-' : `${seconds(Math.max(...times))} s`;
    return [
      pattern,
      latency,
      `${seconds(calm.p50)} s`,
      tolerance,
      `${struck.completed} of ${struck.goals} completed, slowest recovery ${worst}`,
      complexity,
      `${one(calm.messages)} messages, ${one(calm.records)} records, ${one(calm.calls)} model calls`,
    ];
  });
  return markdown([
    ['pattern', 'latency', 'measured, p50', 'fault tolerance', 'measured', 'complexity', 'measured, for one goal'],
    ...rows,
  ]);
}

function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_each, index) => (index === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}
