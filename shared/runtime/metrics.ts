/**
 * Every metric of an agent but for those of the mesh (monitor/mesh-metrics.ts). The names of PROTOCOL are the contract; docs/metrics.md is written from
 * here (`make monitoring`). Labels are bounded: no goalId or taskId ever is one.
 */
import { GoalStatus, Pattern } from '../protocol/goal.ts';
import { NoConsensusReason, VoteMethod } from '../protocol/vote.ts';
import type { RejectReason } from '../core/round.ts';
import { ENGINE_PARTS } from './engine/events.ts';
import { fading } from './fading.ts';
import { metricRegistry } from './metric-registry.ts';
import { meshMetrics } from './monitor/mesh-metrics.ts';
import { SURVEY_PARTS } from './monitor/monitor.ts';
import type { IgnoredReason } from './vote/observer.ts';

/** Model calls and vote rounds: 10 ms, doubling up to 82 s. */
const SLOW = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/** Measured over predicted: 1 is right. */
const RATIO = [0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10];
/** Tasks and queues: 1 ms, up to an hour. */
const WIDE = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

/** A goal comes round every 10 s, to any agent: what this one saw of it is stale when two rounds went elsewhere or nowhere. */
const SWEPT_MS = 30_000;
const SWEPT_MAX = 10_000;

export type Metrics = ReturnType<typeof metricsOf>;

export function metricsOf(capabilities: readonly string[] = []) {
  const made = metricRegistry();
  const { counter, gauge, histogram, computed, registry, list } = made;
  const goalsIdle = fading(SWEPT_MS, SWEPT_MAX);
  const capabilitiesMissing = fading(SWEPT_MS, SWEPT_MAX);
  computed('conclave_goals_idle_seconds', 'Longest time that a goal which this agent swept has not moved', [], () => [
    [{}, Math.max(0, ...goalsIdle.entries().map(([, seconds]) => seconds))],
  ]);
  computed(
    'conclave_capability_missing',
    '1 while ready tasks of goals that this agent swept wait for a capability that no live agent has',
    ['capability'],
    () => capabilitiesMissing.entries().map(([capability, value]) => [{ capability }, value] as const),
  );
  const metrics = {
    registry,
    list,
    goalsIdle,
    capabilitiesMissing,
    mesh: meshMetrics(made),
    surveyErrors: counter('conclave_survey_errors_total', 'Parts of a survey that the broker did not answer', ['what']),
    agentInfo: gauge('conclave_agent_info', 'Always 1; says who the agent is', ['agent', 'role', 'version']),
    ready: gauge('conclave_ready', '1 while the check of `/readyz` is passed, else 0', ['check']),
    brokerRoundTrip: gauge(
      'conclave_broker_round_trip_seconds',
      'Of the last probe that the broker answered this agent',
      [],
    ),
    brokerDisconnects: counter('conclave_broker_disconnects_total', 'Connections to the broker that broke', []),
    goals: counter('conclave_goals_total', 'Goals that this agent accepted (status planning or running) or ended', [
      'pattern',
      'status',
    ]),
    goalDuration: histogram(
      'conclave_goal_duration_seconds',
      'From acceptance to the terminal record',
      ['pattern', 'status'],
      WIDE,
    ),
    tasks: counter('conclave_tasks_total', 'Tasks that this agent ended', ['capability', 'status']),
    taskDuration: histogram(
      'conclave_task_duration_seconds',
      'From the start of the last attempt to the terminal record; tasks that never started are not in it',
      ['capability', 'status'],
      WIDE,
    ),
    taskQueue: histogram(
      'conclave_task_queue_seconds',
      'From the work item to the start of the first attempt',
      ['capability'],
      WIDE,
    ),
    tasksInProgress: gauge('conclave_tasks_in_progress', 'Tasks that this agent works on', ['capability']),
    slots: gauge('conclave_slots', 'Tasks that this agent works on at once, at most', ['capability']),
    attemptsFailed: counter('conclave_attempts_failed_total', 'Attempts at tasks that failed on this agent', [
      'capability',
      'code',
    ]),
    workDropped: counter(
      'conclave_work_dropped_total',
      'Attempts thrown away; reason lost (another agent has the task, or it ended) or shutdown',
      ['reason'],
    ),
    transitions: counter('conclave_transitions_total', 'State transitions, by outcome committed, conflict or held', [
      'transition',
      'outcome',
    ]),
    messages: counter('conclave_messages_total', 'Messages between agents, vote requests and ballots', [
      'direction',
      'message_type',
    ]),
    messageBytes: counter(
      'conclave_message_bytes_total',
      'Bytes of messages between agents, vote requests and ballots, without headers',
      ['direction'],
    ),
    voteRounds: counter(
      'conclave_vote_rounds_total',
      'Vote rounds that this agent decided, by outcome consensus, insufficient_votes, no_majority or tie',
      ['method', 'outcome'],
    ),
    voteRoundSeconds: histogram(
      'conclave_vote_round_seconds',
      'From the request to the stored decision',
      ['method'],
      SLOW,
    ),
    ballots: counter('conclave_ballots_total', 'Ballots that this agent gave', ['position']),
    ballotsRejected: counter(
      'conclave_ballots_rejected_total',
      'Ballots that were not counted in rounds of this agent, by reason malformed, wrong_round, agent_mismatch, off_roster, unknown_position, duplicate, contradiction or late',
      ['reason'],
    ),
    votesIgnored: counter(
      'conclave_vote_requests_ignored_total',
      'Vote requests that this agent did not answer, by reason malformed, not_in_roster, foreign_reply, deadline_passed, in_progress, overloaded, over, other_question or stopping',
      ['reason'],
    ),
    breakerState: gauge('conclave_breaker_state', '0 closed, 1 half-open, 2 open', ['breaker']),
    retries: counter('conclave_retries_total', 'Retries of a resilience policy, or of a task', ['policy']),
    callsRefused: counter(
      'conclave_calls_refused_total',
      'Calls that a resilience policy ended, by reason timeout or overloaded',
      ['policy', 'reason'],
    ),
    modelTokens: counter('conclave_model_tokens_total', 'Tokens of model calls', ['model', 'type']),
    modelSeconds: histogram(
      'conclave_model_seconds',
      'Answers of the model, retries and repair included, by outcome ok, invalid_output, unavailable, refused, budget or aborted',
      ['model', 'outcome'],
      SLOW,
    ),
    usageDoubted: counter(
      'conclave_model_usage_doubted_total',
      'Answers of the model whose token count was not believed; normally none',
      ['doubt'],
    ),
    costUsd: counter('conclave_cost_usd_total', 'Cost in USD', ['agent', 'kind']),
    costPrediction: histogram(
      'conclave_cost_prediction_ratio',
      'Measured over predicted cost of completed goals that were predicted to cost something; 1 is right',
      ['pattern'],
      RATIO,
    ),
    budgetRefusals: counter('conclave_budget_refusals_total', 'Calls and messages that a budget refused', ['limit']),
    reservationsOpen: gauge(
      'conclave_reservations_open',
      'Model calls and vote rounds under way on this agent whose worst case is reserved in a budget',
      [],
    ),
    reservedUsd: gauge('conclave_reserved_usd', 'What those reservations come to, in USD', []),
    reservationsLost: counter(
      'conclave_reservations_lost_total',
      'Reserved calls that count as spent, because nobody reported their end',
      [],
    ),
    deadLetters: counter('conclave_dead_letters_total', 'Dead letters that this agent wrote', ['code']),
    repairs: counter(
      'conclave_goal_repairs_total',
      'Graphs that were changed because a task failed; kind replan (another plan) or merge (done without it)',
      ['kind'],
    ),
    sweepRepairs: counter('conclave_sweep_repairs_total', 'Repairs by the sweep; normally none', []),
    engineErrors: counter('conclave_engine_errors_total', 'Errors that a redelivery repairs', ['where']),
    receipts: gauge('conclave_receipts_held', 'Submissions of running goals whose receipt this agent holds', []),
  };
  zero(metrics, capabilities);
  return metrics;
}

/**
 * Series whose labels are known exist from the start: a counter that appears with its first event shows no increase, and an alert on it would be silent
 * the first time.
 */
function zero(
  metrics: Pick<
    Metrics,
    | 'goals'
    | 'tasks'
    | 'voteRounds'
    | 'ballots'
    | 'budgetRefusals'
    | 'retries'
    | 'messageBytes'
    | 'workDropped'
    | 'engineErrors'
    | 'surveyErrors'
    | 'ballotsRejected'
    | 'votesIgnored'
    | 'tasksInProgress'
    | 'repairs'
  >,
  capabilities: readonly string[],
): void {
  for (const pattern of Pattern.options)
    for (const status of GoalStatus.options) metrics.goals.inc({ pattern, status }, 0);
  for (const capability of capabilities) {
    metrics.tasksInProgress.inc({ capability }, 0);
    for (const status of ['completed', 'failed', 'cancelled']) metrics.tasks.inc({ capability, status }, 0);
  }
  for (const method of VoteMethod.options)
    for (const outcome of ['consensus', ...NoConsensusReason.options]) metrics.voteRounds.inc({ method, outcome }, 0);
  for (const position of ['approve', 'reject', 'abstain', 'option']) metrics.ballots.inc({ position }, 0);
  for (const limit of ['usd', 'tokens', 'messages']) metrics.budgetRefusals.inc({ limit }, 0);
  for (const direction of ['in', 'out']) metrics.messageBytes.inc({ direction }, 0);
  for (const reason of ['lost', 'shutdown']) metrics.workDropped.inc({ reason }, 0);
  for (const kind of ['replan', 'merge']) metrics.repairs.inc({ kind }, 0);
  metrics.retries.inc({ policy: 'task' }, 0);
  for (const where of ENGINE_PARTS) metrics.engineErrors.inc({ where }, 0);
  for (const what of SURVEY_PARTS) metrics.surveyErrors.inc({ what }, 0);
  for (const reason of Object.keys(BALLOTS_REJECTED)) metrics.ballotsRejected.inc({ reason }, 0);
  for (const reason of Object.keys(VOTES_IGNORED)) metrics.votesIgnored.inc({ reason }, 0);
}

/** One of each; the compiler misses a new one. */
const BALLOTS_REJECTED: Readonly<Record<RejectReason, 0>> = {
  malformed: 0,
  wrong_round: 0,
  agent_mismatch: 0,
  off_roster: 0,
  unknown_position: 0,
  duplicate: 0,
  contradiction: 0,
  late: 0,
};
const VOTES_IGNORED: Readonly<Record<IgnoredReason, 0>> = {
  malformed: 0,
  not_in_roster: 0,
  foreign_reply: 0,
  deadline_passed: 0,
  in_progress: 0,
  overloaded: 0,
  over: 0,
  other_question: 0,
  stopping: 0,
};

/** A label value from outside must not grow the registry without bound. */
export function bounded(max: number): (value: string) => string {
  const seen = new Set<string>();
  return (value) => {
    if (seen.has(value)) return value;
    if (seen.size >= max) return 'other';
    seen.add(value);
    return value;
  };
}
