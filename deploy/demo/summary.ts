/** What a finished run shows: the plan, what came out, and who voted how. Pure; words of agents and models are made safe for a terminal. */
import { z } from 'zod';
import { Plan } from '../../shared/protocol/plan.ts';
import type { Ballot, RoundRecord } from '../../shared/protocol/vote.ts';
import type { Screen } from '../../services/cli/render/screen.ts';
import { table } from '../../services/cli/render/table.ts';
import { safeJson, safeLine } from '../../services/cli/render/text.ts';
import { absentLine } from '../../services/cli/render/vote.ts';

/** The committed result of a goal's plan task. */
export function planText(screen: Screen, result: unknown): string {
  const plan = Plan.safeParse(result);
  if (!plan.success) return `(no plan of protocol version 1: ${safeJson(result)})`;
  const { tasks, source, reason } = plan.data;
  const origin =
    source === 'model' ? 'proposed by the model, checked by code' : `the fixed three steps: ${safeLine(reason ?? '')}`;
  const steps = table(
    screen,
    [
      { head: 'task', cell: (task) => task.taskId },
      { head: 'capability', cell: (task) => task.capability },
      { head: 'after', cell: (task) => task.dependencies.join(', ') },
      {
        head: 'voted on by',
        cell: ({ vote }) => (vote === undefined ? '' : `${vote.capability} (${vote.rule.method})`),
      },
      { head: 'description', cell: (task) => task.description },
    ],
    tasks,
  );
  return `${screen.paint('faint', origin)}\n${steps}`;
}

const Brief = z.object({
  title: z.string(),
  summary: z.string(),
  statements: z.array(z.object({ text: z.string(), quote: z.string() })),
});

const Report = z.object({
  brief: Brief,
  evidence: z.array(
    z.object({ statement: z.string(), quote: z.string(), position: z.number(), supported: z.boolean() }),
  ),
  verdict: z.object({ sound: z.boolean(), note: z.string() }),
});

/** A reviewed brief with its evidence, a bare brief, or any other result as JSON. */
export function resultText(screen: Screen, result: unknown): string {
  const report = Report.safeParse(result);
  if (report.success) {
    const { brief, evidence, verdict } = report.data;
    const statements = evidence.map((item) => ({ ...item, text: item.statement }));
    const note = screen.paint(verdict.sound ? 'good' : 'warn', safeLine(verdict.note));
    return [headOf(screen, brief), statementsOf(screen, statements), `Review: ${note}`].join('\n\n');
  }
  const brief = Brief.safeParse(result);
  if (brief.success) return [headOf(screen, brief.data), statementsOf(screen, brief.data.statements)].join('\n\n');
  return safeJson(result, 2);
}

function headOf(screen: Screen, { title, summary }: z.infer<typeof Brief>): string {
  return [screen.paint('heading', safeLine(title)), ...lines(screen, safeLine(summary), '')].join('\n');
}

interface Shown {
  readonly text: string;
  readonly quote: string;
  readonly position?: number;
  readonly supported?: boolean;
}

function statementsOf(screen: Screen, statements: readonly Shown[]): string {
  return statements
    .map(({ text, quote, position = 0, supported = true }, at) => {
      const place = position > 0 ? ` (sentence ${position})` : '';
      const evidence = quote === '' ? 'no quote' : `"${safeLine(quote)}"${place}`;
      const doubt = supported ? '' : screen.paint('bad', '  not supported');
      const number = `${at + 1}. `.padStart(4);
      const [first = '', ...rest] = lines(screen, safeLine(text), '    ');
      const said = [`${number}${first.trimStart()}${rest.length === 0 ? doubt : ''}`, ...rest];
      return [...said, ...lines(screen, evidence, '      ').map((line) => screen.paint('faint', line))].join('\n');
    })
    .join('\n');
}

/** Who voted how on what, and what was decided. `ballots`: all that the log holds, also those that came too late to count. */
export function votesText(screen: Screen, rounds: readonly RoundRecord[], ballots: readonly Ballot[]): string {
  if (rounds.length === 0) return screen.paint('faint', 'nothing was put to the vote');
  return rounds.map((round) => roundText(screen, round, ballots)).join('\n\n');
}

function roundText(screen: Screen, round: RoundRecord, logged: readonly Ballot[]): string {
  const on = round.taskId === undefined ? safeLine(round.proposal) : `result of task ${safeLine(round.taskId)}`;
  const decision = round.consensus
    ? screen.paint(round.position === 'approve' ? 'good' : 'warn', safeLine(round.position ?? ''))
    : screen.paint('bad', `no consensus (${round.reason ?? 'no_majority'})`);
  const counted = new Set(round.ballots.map((ballot) => ballot.agent));
  const absent = round.roster.filter((agent) => !counted.has(agent));
  const late = logged.filter((ballot) => ballot.roundId === round.roundId && absent.includes(ballot.agent));
  const silent = absent.filter((agent) => !late.some((ballot) => ballot.agent === agent));
  return [
    `${on}: ${decision}  ${screen.paint('faint', `(${counted.size} of ${round.roster.length} ballots counted, ${round.rule.method})`)}`,
    ...round.ballots.map((ballot) => ballotText(screen, ballot, '')),
    // A round ends as soon as its outcome cannot change.
    ...late.map((ballot) => ballotText(screen, ballot, '  (after the decision, not counted)')),
    ...(silent.length === 0 ? [] : [`  ${absentLine(round, silent)}`]),
  ].join('\n');
}

function ballotText(screen: Screen, { agent, position, confidence, rationale = '' }: Ballot, note: string): string {
  const sure = confidence === undefined ? '' : ` ${confidence.toFixed(2)}`;
  const why = lines(screen, safeLine(rationale), '      ').map((line) => screen.paint('faint', line));
  return [`  ${safeLine(agent)}  ${safeLine(position)}${sure}${note}`, ...why].join('\n');
}

/** Widest lines that are still read with ease. */
const WIDTH_MAX = 110;

/** Words in lines that fit the screen, each after `indent`. A single word that is too long is left whole. */
function lines(screen: Screen, text: string, indent: string): string[] {
  const room = Math.max(20, Math.min(screen.width, WIDTH_MAX) - indent.length);
  const wrapped: string[] = [];
  let line = '';
  for (const word of text.split(' ').filter((each) => each !== '')) {
    if (line !== '' && line.length + 1 + word.length > room) {
      wrapped.push(indent + line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return line === '' ? wrapped : [...wrapped, indent + line];
}
