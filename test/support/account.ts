/** What a goal left behind that nobody may change by what they say: its graph, the subjects that were published to, its budget and what it spent. */
import type { Msg } from '@nats-io/transport-node';
import type { Foreign } from './foreign.ts';

/** Fields of a record that no two runs have alike. */
const OF_THE_RUN = new Set([
  'createdAt',
  'startedAt',
  'finishedAt',
  'deadline',
  'item',
  'receipt',
  'acceptedBy',
  'wallMs',
]);

export interface Account {
  readonly goal: unknown;
  readonly tasks: Readonly<Record<string, unknown>>;
  readonly revisions: number;
}

/** `results`: whether what the tasks made is compared as well. */
export async function accountOf(foreign: Foreign, goalId: string, results: boolean): Promise<Account> {
  const last = async (key: string): Promise<unknown> => (await foreign.revisions(key)).at(-1)?.record;
  const skip = new Set([...OF_THE_RUN, ...(results ? [] : ['result', 'input']), 'predicted']);
  const ids = [...(await foreign.tasks(goalId)).keys()].toSorted();
  const tasks = await Promise.all(
    ids.map(async (taskId) => [taskId, without(await last(`task.${goalId}.${taskId}`), skip)] as const),
  );
  return {
    goal: without(await last(`goal.${goalId}`), new Set([...skip, 'result'])),
    tasks: Object.fromEntries(tasks),
    revisions: (await foreign.revisions(`plan.${goalId}.*`)).length,
  };
}

function without(value: unknown, keys: ReadonlySet<string>): unknown {
  if (Array.isArray(value)) return value.map((each) => without(each, keys));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !keys.has(key));
  return Object.fromEntries(kept.map(([key, each]) => [key, without(each, keys)]));
}

/**
 * Subjects of the mesh that anybody publishes to from now on. Without what these agents do to be seen, and what the run alone decides: who holds a receipt,
 * who looks at queues, how quick the broker is, and the salt in a round's id.
 */
export async function listen(foreign: Foreign, agentIds: readonly string[]): Promise<() => readonly string[]> {
  const { nc, mesh } = foreign;
  const seen = new Set<string>();
  const callback = (_error: unknown, { subject }: Msg): void => {
    const plain = subject.replaceAll(mesh, 'mesh');
    if (agentIds.some((id) => plain === `$KV.mesh_agents.agent.${id}`)) return;
    if (/^(mesh\.monitor|mesh\.ready\.\$probe|\$KV\.mesh_dag\.figures)\./.test(plain)) return;
    seen.add(
      plain
        .replace(/^mesh\.inbox\..*/, 'mesh.inbox')
        .replace(/^\$O\..*/, '$O')
        .replace(/\.v-[\w-]+/, '.v-'),
    );
  };
  for (const subject of [`${mesh}.>`, `$KV.${mesh}_dag.>`, `$KV.${mesh}_agents.>`, `$O.${mesh}_blobs.>`])
    nc.subscribe(subject, { callback });
  await nc.flush();
  return () => [...seen].toSorted();
}
