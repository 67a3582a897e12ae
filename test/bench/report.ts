/** The results as text. */
import type { AgentCost } from './agents.ts';
import type { Cpu } from './alternate.ts';
import type { GoalSize } from './linear.ts';
import type { Machine } from './machine.ts';
import { jetstreamConfig, type Sync } from './mesh.ts';
import type { Overhead } from './overhead.ts';
import type { Row } from './rows.ts';
import { IDLE_MB_MAX, READY_MS_MAX, verdict } from './targets.ts';
import type { Writes } from './writes.ts';

/** At most so much more for a task of the largest goal than for one of the smallest but one. */
const LINEAR_FACTOR_MAX = 1.5;

export function machineText({ cores, model, node }: Machine): string {
  return `Machine: ${cores} cores, ${model}; Node ${node}; broker, workers and load all on it`;
}

export function brokerText(sync: Sync, server: string): string {
  const interval = jetstreamConfig(sync) || "sync_interval not set (the server's default, 2 minutes)";
  return `Broker: nats-server ${server}, one server on loopback, file storage, 1 replica, ${interval}`;
}

export function loadText(when: string, load: number, cores: number): string {
  const warning =
    load > cores ? `  WARNING: more than ${cores} cores: other work ran, absolute figures are too bad` : '';
  return `Load average ${when}: ${load.toFixed(2)}${warning}`;
}

export function rowsText(sync: Sync, rows: readonly Row[]): string {
  const head = [
    `sync ${sync}`,
    'unit',
    'Conclave',
    'raw',
    'ratio',
    'target',
    'verdict',
    'rounds',
    'CPU us/task: Conclave',
    'raw',
  ];
  const lines = rows.map((row) => {
    const sign = row.unit === 'ms' ? '<=' : '>=';
    return [
      row.label,
      row.unit,
      figure(row.conclave),
      figure(row.raw),
      row.ratio.toFixed(2),
      targetText(row, sign),
      row.verdict ?? '-',
      String(row.rounds),
      cpuText(row.cpu.conclave),
      cpuText(row.cpu.raw),
    ];
  });
  return table([head, ...lines]);
}

function targetText({ target, ratioTarget }: Row, sign: string): string {
  if (ratioTarget !== undefined) return `ratio <= ${ratioTarget}`;
  return target === undefined ? '-' : `${sign} ${figure(target)}`;
}

export function writesText(sync: Sync, { tasks, storedPerTask, transitionsPerTask }: Writes): string {
  const parts = Object.entries(transitionsPerTask).map(([name, count]) => `${name} ${count.toFixed(3)}`);
  return [
    `Writes per task (sync ${sync}, chains of 3 under load, ${tasks} tasks): ${storedPerTask.toFixed(2)} messages in the state stream`,
    `  transitions: ${parts.join(', ') || 'none counted'}`,
  ].join('\n');
}

export function agentText({ readyMs, idle, idleAfterMs, startsMs }: AgentCost): string {
  const starts = startsMs.map((ms) => ms.toFixed(0)).join(', ');
  const ready = `Agent start to agent.ready: ${readyMs.toFixed(0)} ms, median of ${starts}; target <= ${READY_MS_MAX}: ${verdict(readyMs, READY_MS_MAX, 'lower')}`;
  if (idle === undefined) return `${ready}\nIdle agent: - (this system does not tell the memory of a process)`;
  const { rssMb, anonymousMb } = idle;
  const memory = `Idle agent after ${(idleAfterMs / 1_000).toFixed(0)} s: ${rssMb.toFixed(1)} MB resident, of it ${anonymousMb.toFixed(1)} MB anonymous; target <= ${IDLE_MB_MAX}: ${verdict(rssMb, IDLE_MB_MAX, 'lower')}`;
  return `${ready}\n${memory}`;
}

export function linearText(sync: Sync, sizes: readonly GoalSize[]): string {
  const head = [`one goal of ... tasks (sync ${sync})`, 'wall us/task', 'CPU us/task, server and workers', 'rounds'];
  const lines = sizes.map(({ tasks, wallUs, cpuUs, rounds }) => [
    figure(tasks),
    wallUs.toFixed(0),
    cpuUs?.toFixed(0) ?? '-',
    String(rounds),
  ]);
  const [middle, largest] = sizes.slice(-2);
  if (middle === undefined || largest === undefined) return table([head, ...lines]);
  const measured = middle.cpuUs !== undefined && largest.cpuUs !== undefined ? 'processor' : 'wall';
  const factor = (largest.cpuUs ?? largest.wallUs) / (middle.cpuUs ?? middle.wallUs);
  const says = factor <= LINEAR_FACTOR_MAX ? 'linear' : 'grows';
  return `${table([head, ...lines])}\nA task of the largest goal takes ${factor.toFixed(2)} times the ${measured} time of one of ${figure(middle.tasks)}: ${says}`;
}

/** At most so much slower by being watched. */
const OVERHEAD_MAX = 0.05;

export function overheadText(parts: readonly Overhead[]): string {
  const head = [
    'what it costs to be watched',
    'sync',
    'tasks/s with',
    'without',
    'slower by',
    'target',
    'CPU us/task with',
    'without',
    'pairs',
  ];
  const lines = parts.map(({ part, sync, on, off, slower, cpuOn, cpuOff, rounds, hasTarget }) => [
    part,
    sync,
    figure(on),
    figure(off),
    `${(slower * 100).toFixed(1)} %`,
    hasTarget ? `<= ${OVERHEAD_MAX * 100} %: ${slower <= OVERHEAD_MAX ? 'met' : 'not met'}` : '-',
    cpuOn?.toFixed(0) ?? '-',
    cpuOff?.toFixed(0) ?? '-',
    String(rounds),
  ]);
  return table([head, ...lines]);
}

function cpuText({ serverUs, workersUs }: Cpu): string {
  const text = (us: number | undefined) => us?.toFixed(0) ?? '-';
  return `${text(serverUs)} + ${text(workersUs)}`;
}

function figure(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en-US');
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/** Columns as wide as their widest cell; the first is aligned to the left, figures to the right. */
function table(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const text = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ');
  const [head = [], ...rest] = lines;
  return [text(head), '-'.repeat(text(head).length), ...rest.map(text)].join('\n');
}
