/** One goal through the demo's mesh, as a user of the command line would run it, and what came of it. */
import { relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EXIT } from '../../services/cli/failure.ts';
import { runCommandLine } from '../../services/cli/program.ts';
import { duration, safeLine } from '../../services/cli/render/text.ts';
import type { Terminal } from '../../services/cli/terminal.ts';
import type { MeshClient } from '../../shared/adapters/mesh-client.ts';
import { type EndedGoal, isTerminalGoal } from '../../shared/protocol/goal.ts';
import { PLAN_TASK } from '../../shared/protocol/plan.ts';
import type { Ballot, RoundRecord } from '../../shared/protocol/vote.ts';
import { connect, crew, type DemoMesh } from './mesh.ts';
import type { DemoOptions } from './options.ts';
import { planText, resultText, votesText } from './summary.ts';

/** Limits of the goal: far above what it needs, so that they bind only when something goes wrong. */
const BUDGET = ['--budget-usd', '1', '--wall-ms', '600000'];
/** How long the log is given to hold the end of the goal. */
const LOG_MS = 2_000;
const LOG_POLL_MS = 50;

export interface Started {
  readonly readyMs: number;
  readonly logFolder: string;
}

/** Runs it and prints everything. Resolves to the exit code: 0 only for a completed goal. */
export async function runGoal(
  mesh: DemoMesh,
  options: DemoOptions,
  terminal: Terminal,
  started: Started,
): Promise<number> {
  const { paint } = terminal.screen();
  const section = (title: string): void => terminal.out(`\n${paint('heading', title)}`);
  terminal.out(banner(mesh, options, terminal, started));

  section('Progress');
  const goalId = await submit(mesh, options, terminal);
  if (goalId === undefined) return EXIT.failed;
  const watched = await cli(mesh, terminal, ['watch', goalId]);
  if (terminal.signal.aborted) return EXIT.interrupted;

  const client = await connect(mesh);
  try {
    const goal = await client.goal(goalId);
    if (goal === undefined || !isTerminalGoal(goal)) {
      throw new Error(
        `goal ${goalId} is ${goal?.status ?? 'unknown'} although watching it ended with exit code ${watched}`,
      );
    }
    section('Plan');
    const plan = await client.task(goalId, PLAN_TASK);
    terminal.out(
      plan?.status === 'completed' ? planText(terminal.screen(), plan.result) : `there is none: ${whyOf(goal)}`,
    );
    section('Votes');
    const { rounds, ballots } = await votesOf(client, goal, terminal.signal);
    terminal.out(votesText(terminal.screen(), rounds, ballots));
    section('Result');
    const result = 'result' in goal ? goal.result : undefined;
    terminal.out(result === undefined ? `there is none: ${whyOf(goal)}` : resultText(terminal.screen(), result));
    section('Cost');
    await cli(mesh, terminal, ['cost', goalId]);
    terminal.out(ending(goal, options, terminal, started));
    return goal.status === 'completed' ? EXIT.done : EXIT.failed;
  } finally {
    await client.close();
  }
}

function cli(mesh: DemoMesh, terminal: Terminal, args: readonly string[]): Promise<number> {
  return runCommandLine(['--url', mesh.url, '--mesh', mesh.name, ...args], terminal);
}

/** The new goal's id; undefined when the command line has said why there is none. */
async function submit(mesh: DemoMesh, options: DemoOptions, terminal: Terminal): Promise<string | undefined> {
  const printed: string[] = [];
  const capturing: Terminal = { ...terminal, out: (text) => void printed.push(text) };
  // After `--` nothing is an option: a goal may begin with a dash.
  const code = await cli(mesh, capturing, ['submit', '--input', options.input, ...BUDGET, '--', options.goal]);
  return code === EXIT.done ? printed[0] : undefined;
}

function banner(mesh: DemoMesh, options: DemoOptions, terminal: Terminal, { readyMs }: Started): string {
  const { paint } = terminal.screen();
  const model =
    options.endpoint === undefined
      ? paint('warn', 'OFFLINE: no language model is called; services/model computes every answer from the input')
      : `${safeLine(options.endpoint)} (OPENAI_BASE_URL)`;
  const facts = [
    ['input', options.input === '-' ? 'standard input' : relative(process.cwd(), options.input)],
    ['goal', safeLine(options.goal)],
    ['model', model],
    ['broker', `${mesh.url}${options.natsUrl === undefined ? ', for this run alone' : ' (NATS_URL)'}`],
    ['agents', `${crew()}, each a process; ready in ${duration(readyMs)}`],
  ];
  const lines = facts.map(([name = '', fact = '']) => `${paint('faint', name.padEnd(8))}${fact}`);
  return [paint('heading', 'Conclave demo'), ...lines].join('\n');
}

function ending(goal: EndedGoal, { endpoint }: DemoOptions, terminal: Terminal, { logFolder }: Started): string {
  const took = duration(Date.parse(goal.finishedAt) - Date.parse(goal.createdAt));
  const notes = [
    `\nGoal ${goal.goalId} ${goal.status} after ${took}. Logs of all processes: ${relative(process.cwd(), logFolder)}`,
    ...(endpoint === undefined
      ? [
          terminal
            .screen()
            .paint(
              'warn',
              'The answers are OFFLINE: extracts of your input, at a nominal price. Set OPENAI_BASE_URL for a real model.',
            ),
        ]
      : []),
  ];
  return notes.join('\n');
}

function whyOf(goal: EndedGoal): string {
  return 'error' in goal ? safeLine(`${goal.error.code}: ${goal.error.message}`) : 'the goal has none';
}

interface Votes {
  readonly rounds: readonly RoundRecord[];
  readonly ballots: readonly Ballot[];
}

/** From the log: sourced by the broker, it may be a moment behind the records. */
async function votesOf(client: MeshClient, goal: EndedGoal, signal: AbortSignal): Promise<Votes> {
  const deadline = Date.now() + LOG_MS;
  for (;;) {
    const rounds: RoundRecord[] = [];
    const ballots: Ballot[] = [];
    let ended = false;
    for await (const entry of client.log(goal.goalId)) {
      if (entry.kind === 'round') rounds.push(entry.record);
      if (entry.kind === 'ballot') ballots.push(entry.record);
      ended ||= entry.kind === 'goal' && isTerminalGoal(entry.record);
    }
    if (ended || Date.now() > deadline) return { rounds, ballots };
    await pause(LOG_POLL_MS, undefined, { signal });
  }
}
