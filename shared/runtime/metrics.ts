/** Every metric of an agent, by the names of PROTOCOL. Labels are bounded: no goalId or taskId ever is one. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Model calls and vote rounds: 10 ms, doubling up to 82 s. */
const SLOW = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/** Measured over predicted: 1 is right. */
const RATIO = [0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10];
/** Tasks and queues: 1 ms, up to an hour. */
const WIDE = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

export type Metrics = ReturnType<typeof metricsOf>;

export function metricsOf() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter<L>({ name, help, labelNames: [...labelNames], registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge<L>({ name, help, labelNames: [...labelNames], registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[], buckets: number[]) =>
    new Histogram<L>({ name, help, labelNames: [...labelNames], buckets, registers });
  return {
    registry,
    goals: counter('conclave_goals_total', 'Goals that this agent accepted (status running or planning) or ended', [
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
      'From the start of the last attempt to the terminal record',
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
    transitions: counter('conclave_transitions_total', 'State transitions, by outcome committed or conflict', [
      'transition',
      'outcome',
    ]),
    messages: counter('conclave_messages_total', 'Messages between agents', ['direction', 'message_type']),
    messageBytes: counter('conclave_message_bytes_total', 'Bytes of messages between agents', ['direction']),
    voteRounds: counter('conclave_vote_rounds_total', 'Vote rounds that this agent held', ['method', 'outcome']),
    voteRoundSeconds: histogram(
      'conclave_vote_round_seconds',
      'From the request to the stored decision',
      ['method'],
      SLOW,
    ),
    ballots: counter('conclave_ballots_total', 'Ballots that this agent gave', ['position']),
    ballotsRejected: counter(
      'conclave_ballots_rejected_total',
      'Ballots that were not counted in rounds of this agent',
      ['reason'],
    ),
    votesIgnored: counter('conclave_vote_requests_ignored_total', 'Vote requests that this agent did not answer', [
      'reason',
    ]),
    breakerState: gauge('conclave_breaker_state', '0 closed, 1 half-open, 2 open', ['breaker']),
    retries: counter('conclave_retries_total', 'Retries of a resilience policy or of a task', ['policy']),
    modelTokens: counter('conclave_model_tokens_total', 'Tokens, type input or output', ['model', 'type']),
    modelSeconds: histogram(
      'conclave_model_seconds',
      'Answers of the model, retries and repair included',
      ['model', 'outcome'],
      SLOW,
    ),
    usageDoubted: counter(
      'conclave_model_usage_doubted_total',
      'Answers of the model whose token count was not believed; normally none',
      ['doubt'],
    ),
    costUsd: counter('conclave_cost_usd_total', 'Cost in USD, kind compute or communication', ['agent', 'kind']),
    costPrediction: histogram(
      'conclave_cost_prediction_ratio',
      'Measured over predicted cost of completed goals that were predicted to cost something; 1 is right',
      ['pattern'],
      RATIO,
    ),
    budgetRefusals: counter('conclave_budget_refusals_total', 'Calls and messages that a budget refused', ['limit']),
    deadLetters: counter('conclave_dead_letters_total', 'Dead letters', ['code']),
    sweepRepairs: counter('conclave_sweep_repairs_total', 'Repairs by the sweep; normally none', []),
    capabilityMissing: gauge(
      'conclave_capability_missing',
      '1 while ready tasks wait for a capability that no live agent has',
      ['capability'],
    ),
    engineErrors: counter('conclave_engine_errors_total', 'Errors that a redelivery repairs', ['where']),
    receipts: gauge('conclave_receipts_held', 'Submissions of running goals whose receipt this agent holds', []),
  };
}

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
