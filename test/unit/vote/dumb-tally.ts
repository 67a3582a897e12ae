/** The rules of a vote round once more, as plainly as they can be said: all ballots at the end, no early stop, whole numbers only. */
import type { VoteMethod, VoteRule } from '../../../shared/protocol/vote.ts';

/** A round with weights in hundredths, so that scores can be added and compared without fractions. */
export interface Setting {
  readonly method: VoteMethod;
  readonly roster: readonly string[];
  readonly options: readonly string[];
  readonly quorum: number | undefined;
  readonly k: number | undefined;
  readonly hundredths: Readonly<Record<string, number>>;
  readonly thresholdPercent: number | undefined;
}

/** Who voted what, in order of arrival. */
export type Sheet = readonly (readonly [voter: string, position: string])[];

export function ruleOf({ method, quorum, k, hundredths, thresholdPercent }: Setting): VoteRule {
  return {
    method,
    ...(quorum === undefined ? {} : { quorum }),
    ...(k === undefined ? {} : { k }),
    ...(thresholdPercent === undefined ? {} : { threshold: thresholdPercent / 100 }),
    weights: Object.fromEntries(Object.entries(hundredths).map(([voter, weight]) => [voter, weight / 100])),
  };
}

/** `won <position>`, or the reason. With ahead-by-k the first moment decides, so there the order counts. */
export function dumbTally(setting: Setting, sheet: Sheet): string {
  if (setting.method !== 'ahead-by-k') return dumbOutcome(setting, sheet);
  for (let length = 1; length <= sheet.length; length += 1) {
    const outcome = dumbOutcome(setting, sheet.slice(0, length));
    if (outcome.startsWith('won')) return outcome;
  }
  return dumbOutcome(setting, sheet);
}

/** The same of exactly these ballots, as if the round ended with them. */
export function dumbOutcome(setting: Setting, sheet: Sheet): string {
  const { method, roster, options, quorum, k, hundredths, thresholdPercent } = setting;
  const needed = quorum ?? Math.floor(roster.length / 2) + 1;
  const weigh = (voter: string) => (method === 'weighted' ? (hundredths[voter] ?? 100) : 1);
  const points = options.map((option) => ({
    option,
    points: sheet.filter(([, position]) => position === option).reduce((sum, [voter]) => sum + weigh(voter), 0),
  }));
  const [first, second] = points.toSorted((one, other) => other.points - one.points);
  const top = first?.points ?? 0;
  const next = second?.points ?? 0;
  const total = points.reduce((sum, each) => sum + each.points, 0);
  const winner = `won ${first?.option}`;

  if (method === 'unanimous') {
    if (needed > roster.length) return 'insufficient_votes';
    if (new Set(sheet.map(([, position]) => position)).size > 1) return 'no_majority';
    if (sheet.some(([, position]) => position === 'abstain')) return 'no_majority';
    return sheet.length < roster.length ? 'insufficient_votes' : winner;
  }
  if (sheet.length < needed) return 'insufficient_votes';
  if (method === 'majority') return top < needed ? 'no_majority' : top === next ? 'tie' : winner;
  if (method === 'ahead-by-k' && top - next >= (k ?? 1)) return winner;
  if (top === 0) return 'no_majority';
  if (top === next) return 'tie';
  if (method === 'ahead-by-k') return 'no_majority';
  return top * 100 < (thresholdPercent ?? 0) * total ? 'no_majority' : winner;
}
