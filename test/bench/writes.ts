/** What the agents wrote while something ran, by their own metrics and by the stream's sequence. */
import { jetstreamManager } from '@nats-io/jetstream';
import { type Mesh, MESH } from './mesh.ts';

export interface Writes {
  readonly tasks: number;
  /** Messages that the state stream took: records, ready items, everything. */
  readonly storedPerTask: number;
  /** `conclave_transitions_total` by `transition outcome`. */
  readonly transitionsPerTask: Readonly<Record<string, number>>;
}

interface Snapshot {
  readonly tasks: number;
  readonly stored: number;
  readonly transitions: ReadonlyMap<string, number>;
}

export async function writesDuring<T>(
  mesh: Mesh,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly writes: Writes }> {
  const before = await snapshot(mesh);
  const result = await work();
  const after = await snapshot(mesh);
  const tasks = after.tasks - before.tasks;
  const transitionsPerTask: Record<string, number> = {};
  for (const [name, count] of [...after.transitions].sort(([a], [b]) => a.localeCompare(b))) {
    const during = count - (before.transitions.get(name) ?? 0);
    if (during > 0) transitionsPerTask[name] = during / tasks;
  }
  return { result, writes: { tasks, storedPerTask: (after.stored - before.stored) / tasks, transitionsPerTask } };
}

async function snapshot({ nc, workers }: Mesh): Promise<Snapshot> {
  const transitions = new Map<string, number>();
  let tasks = 0;
  for (const { port } of workers) {
    const url = `http://127.0.0.1:${port}/metrics`;
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url}: expected 200, got ${answer.status}`);
    for (const { name, labels, value } of samplesOf(await answer.text())) {
      if (name === 'conclave_tasks_total') tasks += value;
      if (name !== 'conclave_transitions_total') continue;
      const key = `${labels['transition'] ?? '?'} ${labels['outcome'] ?? '?'}`;
      transitions.set(key, (transitions.get(key) ?? 0) + value);
    }
  }
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const { state } = await jsm.streams.info(`KV_${MESH}_dag`);
  return { tasks, stored: state.last_seq, transitions };
}

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Samples of the Prometheus text format that have labels. */
function samplesOf(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const [, name = '', inner = '', value = ''] of text.matchAll(/^(\w+)\{([^}]*)\} (\S+)$/gm)) {
    const labels = [...inner.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', said = '']) => [label, said] as const);
    samples.push({ name, labels: Object.fromEntries(labels), value: Number(value) });
  }
  return samples;
}
