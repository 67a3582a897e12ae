/** Metrics of the mesh as a whole. Only the monitor, one agent at a time, exposes them; elsewhere they have no series. */
import type { SurveyedAccount, SurveyedGoals, SurveyedQueue, SurveyedStream } from '../../ports.ts';
import type { Presence } from '../../protocol/agent.ts';
import type { metricRegistry } from '../metric-registry.ts';

/** The parts of a survey; what could not be had is undefined. */
export interface Survey {
  readonly queues: readonly SurveyedQueue[] | undefined;
  readonly goals: SurveyedGoals | undefined;
  readonly streams: readonly SurveyedStream[] | undefined;
  readonly account: SurveyedAccount | undefined;
  readonly presence: readonly Presence[] | undefined;
}

export interface MeshView {
  /** Shown until the next one, but no longer than it is worth anything. */
  see(survey: Survey): void;
  /** This agent looks no more. */
  clear(): void;
}

/** What is older is not shown: a gap in a graph is honest, an old figure is not. */
const SHOWN_MS_MAX = 15_000;
/** Capabilities and roles with series of their own (I10). */
const NAMES_MAX = 100;

export function meshMetrics({ computed }: ReturnType<typeof metricRegistry>, now: () => number = Date.now): MeshView {
  let last: { readonly survey: Survey; readonly at: number } | undefined;
  const survey = (): Survey | undefined =>
    last === undefined || now() - last.at > SHOWN_MS_MAX ? undefined : last.survey;
  const queues = (): readonly SurveyedQueue[] => (survey()?.queues ?? []).slice(0, NAMES_MAX);
  const streams = () => (survey()?.streams ?? []).filter((each) => each.led);
  const secondsSince = (at: number | undefined): number => (at === undefined ? 0 : Math.max(0, now() - at) / 1_000);

  computed('conclave_monitor', '1 on the one agent that looks at queues and streams for the mesh, else 0', [], () => [
    [{}, last === undefined ? 0 : 1],
  ]);

  function ofQueues(name: string, help: string, value: (queue: SurveyedQueue) => number): void {
    computed(name, help, ['capability'], () =>
      queues().map((queue) => [{ capability: queue.capability }, value(queue)]),
    );
  }
  ofQueues('conclave_queue_waiting', 'Work items that no agent was given yet', ({ waiting }) => waiting);
  ofQueues('conclave_queue_held', 'Work items that agents hold', ({ held }) => held);
  ofQueues(
    'conclave_queue_redelivered',
    'Of those held, items that were handed out before: to an agent that died, gave back or failed',
    ({ redelivered }) => redelivered,
  );
  ofQueues('conclave_queue_oldest_seconds', 'Age of the oldest item that waits; 0 when none does', ({ oldestAt }) =>
    secondsSince(oldestAt),
  );

  function ofGoals(name: string, help: string, value: (goals: SurveyedGoals) => number): void {
    computed(name, help, [], () => {
      const goals = survey()?.goals;
      return goals === undefined ? [] : [[{}, value(goals)]];
    });
  }
  ofGoals('conclave_goals_waiting', 'Submissions that no agent has accepted yet', ({ waiting }) => waiting);
  ofGoals('conclave_goals_open', 'Goals that are accepted and not terminal', ({ open }) => open);
  ofGoals('conclave_goals_oldest_seconds', 'Age of the oldest goal that is not terminal', ({ oldestAt }) =>
    secondsSince(oldestAt),
  );

  computed('conclave_agents', 'Agents that are present, by role', ['role'], () => {
    const presence = survey()?.presence ?? [];
    return [...Map.groupBy(presence, ({ role }) => role)]
      .slice(0, NAMES_MAX)
      .map(([role, agents]) => [{ role }, agents.length]);
  });
  computed('conclave_capability_agents', 'Agents present that have the capability', ['capability'], () => {
    const { presence, queues: all = [] } = survey() ?? {};
    if (presence === undefined) return [];
    const counts = new Map(all.map(({ capability }) => [capability, 0]));
    for (const agent of presence)
      for (const capability of agent.capabilities) counts.set(capability, (counts.get(capability) ?? 0) + 1);
    return [...counts].slice(0, NAMES_MAX).map(([capability, count]) => [{ capability }, count]);
  });

  type Led = Extract<SurveyedStream, { led: true }>;
  function ofStreams(name: string, help: string, value: (stream: Led) => number): void {
    computed(name, help, ['stream'], () => streams().map((each) => [{ stream: each.stream }, value(each)]));
  }
  ofStreams('conclave_stream_messages', 'Messages in a stream', ({ messages }) => messages);
  ofStreams('conclave_stream_bytes', 'Bytes of a stream', ({ bytes }) => bytes);
  ofStreams('conclave_stream_replicas', 'Copies of a stream that there should be', ({ replicas }) => replicas);
  ofStreams('conclave_stream_replicas_current', 'Copies of a stream that are up to date', ({ current }) => current);
  computed(
    'conclave_stream_led',
    '1 while a stream has a leader; 0: no quorum, nobody can write to it',
    ['stream'],
    () => (survey()?.streams ?? []).map(({ stream, led }) => [{ stream }, led ? 1 : 0]),
  );
  computed('conclave_log_lag_messages', 'Revisions that the broker has not copied into the log yet', [], () =>
    streams().flatMap(({ sourceLag }) => (sourceLag === undefined ? [] : [[{}, sourceLag] as const])),
  );

  function ofAccount(name: string, help: string, value: (account: SurveyedAccount) => number): void {
    computed(name, help, [], () => {
      const account = survey()?.account;
      return account === undefined ? [] : [[{}, value(account)]];
    });
  }
  ofAccount(
    'conclave_jetstream_storage_bytes',
    'Disk that JetStream uses for the account',
    (account) => account.storageBytes,
  );
  ofAccount(
    'conclave_jetstream_storage_limit_bytes',
    'Disk that it may use; +Inf: no limit set',
    (account) => account.storageLimitBytes,
  );
  ofAccount(
    'conclave_jetstream_memory_bytes',
    'Memory that JetStream uses for streams of the account',
    (account) => account.memoryBytes,
  );

  return {
    see: (next) => (last = { survey: next, at: now() }),
    clear: () => (last = undefined),
  };
}
