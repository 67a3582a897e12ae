/** The decision of a vote round, with who said what. */
import { endedEarly } from '../../../shared/core/recount.ts';
import { ABSTAIN, type RoundRecord } from '../../../shared/protocol/vote.ts';
import type { Screen } from './screen.ts';
import { table } from './table.ts';
import { clip, count, duration, safeLine } from './text.ts';

const BAR_WIDTH = 24;

export function roundPage(screen: Screen, round: RoundRecord): string {
  const { rule, roster, ballots } = round;
  const answered = new Set(ballots.map((ballot) => ballot.agent));
  const silent = roster.filter((agent) => !answered.has(agent));
  const abstained = ballots.filter((ballot) => ballot.position === ABSTAIN).map((ballot) => ballot.agent);
  const took = duration(Date.parse(round.decidedAt) - Date.parse(round.openedAt));
  const sections = [
    `round ${screen.paint('heading', safeLine(round.roundId))}  ${rule.method}  quorum ${quorumOf(round)} of ${count(roster.length, 'voter')}  ${took}\n${clip(safeLine(round.proposal), screen.width)}`,
    tally(screen, round),
  ];
  if (ballots.length > 0) sections.push(ballotTable(screen, round));
  const absent = [
    abstained.length === 0 ? '' : `abstained: ${abstained.map(safeLine).join(', ')}`,
    absentLine(round, silent),
  ].filter((line) => line !== '');
  if (absent.length > 0) sections.push(absent.join('\n'));
  sections.push(verdict(screen, round));
  return sections.join('\n\n');
}

/** Why voters of the roster have no ballot; empty when there are none. */
export function absentLine(round: RoundRecord, absent: readonly string[]): string {
  if (absent.length === 0) return '';
  const why = endedEarly(round) ? 'not waited for, the outcome was settled' : 'no ballot before the deadline';
  return `${why}: ${absent.map(safeLine).join(', ')}`;
}

function quorumOf({ rule, roster }: RoundRecord): number {
  return rule.quorum ?? Math.floor(roster.length / 2) + 1;
}

function weightOf({ rule }: RoundRecord, agent: string): number {
  return Object.hasOwn(rule.weights ?? {}, agent) ? (rule.weights?.[agent] ?? 1) : 1;
}

/** Bars of the scores (weighted) or of the ballots. */
function tally(screen: Screen, round: RoundRecord): string {
  const counted = new Map<string, number>(round.options.map((option) => [option, 0]));
  for (const { position } of round.ballots) {
    const sofar = counted.get(position);
    if (sofar !== undefined) counted.set(position, sofar + 1);
  }
  const weighted = round.rule.method === 'weighted';
  const scored = [...counted].map(([option, votes]) => {
    const score =
      round.scores !== undefined && Object.hasOwn(round.scores, option) ? (round.scores[option] ?? 0) : undefined;
    return { option, votes, value: weighted ? (score ?? 0) : votes };
  });
  const most = Math.max(...scored.map(({ value }) => value), 1e-9);
  return table(
    screen,
    [
      { head: 'option', cell: ({ option }) => option },
      { head: 'votes', cell: ({ votes }) => String(votes), right: true },
      { head: 'score', cell: ({ value }) => (weighted ? String(Number(value.toFixed(4))) : ''), right: true },
      {
        head: '',
        cell: ({ value }) => '█'.repeat(Math.round((value / most) * BAR_WIDTH)),
        paint: ({ option }, bar) => screen.paint(option === round.position ? 'good' : 'faint', bar),
      },
    ],
    scored,
  );
}

function ballotTable(screen: Screen, round: RoundRecord): string {
  return table(
    screen,
    [
      { head: 'voter', cell: (ballot) => ballot.agent },
      { head: 'position', cell: (ballot) => ballot.position },
      {
        head: 'weight',
        cell: (ballot) => (round.rule.method === 'weighted' ? String(weightOf(round, ballot.agent)) : ''),
        right: true,
      },
      {
        head: 'confidence',
        cell: (ballot) => (ballot.confidence === undefined ? '' : ballot.confidence.toFixed(2)),
        right: true,
      },
      { head: 'rationale', cell: (ballot) => ballot.rationale ?? '' },
    ],
    round.ballots,
  );
}

/** Why the round ended, in one line. */
function verdict(screen: Screen, round: RoundRecord): string {
  const present = `${round.ballots.length} of ${count(round.roster.length, 'voter')} answered, the quorum is ${quorumOf(round)}`;
  if (round.consensus) {
    const votes = round.votes === undefined ? '' : ` with ${count(round.votes, 'vote')}`;
    return `${screen.paint('good', 'consensus')}: ${safeLine(round.position ?? '')}${votes} (${present})`;
  }
  const reasons = {
    insufficient_votes: 'fewer ballots than the quorum asks for',
    no_majority: 'no option reached what the rule asks for',
    tie: 'the leading options are exactly equal',
  };
  const reason = round.reason ?? 'no_majority';
  return `${screen.paint('bad', 'no consensus')}: ${reason}, ${reasons[reason]} (${present})`;
}
