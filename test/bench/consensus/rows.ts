/** What is measured round by round: each row a panel of voters of its own, a rule, and what probability theory expects of them. */
import type { VoteRule } from '../../../shared/protocol/vote.ts';
import {
  aheadByK,
  correlated,
  type Expected,
  logOddsWeight,
  majority,
  weighted,
  weightedSharedLot,
} from './closed-forms.ts';
import type { Panel } from './panel.ts';

/** The curve of a chart, and the block of a table, that a row belongs to. */
export type Group =
  | 'majority-80'
  | 'majority-60'
  | 'majority-40'
  | 'majority-80-correlated'
  | 'weighted'
  | 'weighted-correlated'
  | 'ahead-80'
  | 'ahead-60'
  | 'ahead-80-correlated';

export interface RowSpec {
  readonly group: Group;
  readonly label: string;
  /** Number of voters, or k: where the row stands in its group's chart. */
  readonly size: number;
  readonly panel: Panel;
  readonly rule: VoteRule;
  readonly expected: Expected;
}

/** Of any two voters, in the rows with correlated errors. */
export const CORRELATION = 0.3;
const SIZES = [1, 3, 5, 7, 9, 11];
const LEADS = [1, 2, 3, 4, 5];
/** Voters who are hardly better than a coin need more of them than the roster has for a larger lead. */
const LEADS_60 = [1, 2, 3];
/** Enough that hardly a round of ahead-by-k comes to its end. */
const ROSTER = 24;
/** Five voters of whom no two are equally good. */
export const MIXED = [0.9, 0.8, 0.7, 0.65, 0.6];

export function rowSpecs(): readonly RowSpec[] {
  return [
    ...majorities('majority-80', 0.8, 0),
    ...majorities('majority-60', 0.6, 0),
    ...majorities('majority-40', 0.4, 0),
    ...majorities('majority-80-correlated', 0.8, CORRELATION),
    ...mixed('weighted', 0),
    ...mixed('weighted-correlated', CORRELATION),
    ...leads('ahead-80', LEADS, 0.8, 0),
    ...leads('ahead-60', LEADS_60, 0.6, 0),
    ...leads('ahead-80-correlated', LEADS, 0.8, CORRELATION),
  ];
}

function panel(capability: string, accuracies: readonly number[], correlation: number): Panel {
  const voters = accuracies.map((accuracy, index) => ({ agentId: `v${index + 1}`, accuracy }));
  return { capability, voters, correlation };
}

function majorities(group: Group, accuracy: number, correlation: number): RowSpec[] {
  // With one common lot any number of voters is as good as one.
  const shared = (size: number) => ({ ...majority(1, accuracy), asked: size });
  return SIZES.map((size) => ({
    group,
    label: `majority of ${size}`,
    size,
    panel: panel(
      `${group}-${size}`,
      Array.from({ length: size }, () => accuracy),
      correlation,
    ),
    rule: { method: 'majority' },
    expected: correlated(majority(size, accuracy), shared(size), correlation),
  }));
}

function mixed(group: Group, correlation: number): RowSpec[] {
  const row = (label: string, accuracies: readonly number[], weights: readonly number[]): RowSpec => {
    const members = panel(`${group}-${accuracies.length}-${label.replaceAll(' ', '-')}`, accuracies, correlation);
    const named = members.voters.map(({ agentId }, index) => [agentId, (weights[index] ?? 0) / 100] as const);
    return {
      group,
      label,
      size: accuracies.length,
      panel: members,
      rule: { method: 'weighted', weights: Object.fromEntries(named) },
      expected: correlated(weighted(accuracies, weights), weightedSharedLot(accuracies, weights), correlation),
    };
  };
  const best = MIXED.slice(0, 1);
  return [
    row('the best alone', best, best.map(logOddsWeight)),
    row(
      'equal weights',
      MIXED,
      MIXED.map(() => 100),
    ),
    row('log-odds weights', MIXED, MIXED.map(logOddsWeight)),
  ];
}

function leads(group: Group, sizes: readonly number[], accuracy: number, correlation: number): RowSpec[] {
  return sizes.map((k) => ({
    group,
    label: `ahead by ${k}`,
    size: k,
    panel: panel(
      `${group}-${k}`,
      Array.from({ length: ROSTER }, () => accuracy),
      correlation,
    ),
    rule: { method: 'ahead-by-k', k, quorum: k },
    // All who share a lot agree, so the first wave decides.
    expected: correlated(
      aheadByK(accuracy, k, ROSTER),
      { right: accuracy, wrong: 1 - accuracy, asked: k },
      correlation,
    ),
  }));
}
