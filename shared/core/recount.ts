/** A stored decision, counted again from its own ballots by the rule that it should have followed. */
import { ABSTAIN, type RoundRecord, type VoteRule } from '../protocol/vote.ts';
import { constitute, judge } from './quorum.ts';

/** Whether it ended before its deadline because no ballot that was still out could change it: whoever is missing was not waited for. */
export function endedEarly({ rule, roster, options, ballots }: RoundRecord): boolean {
  const constituted = constitute(rule, roster, options);
  return constituted.ok && judge(constituted.electorate, ballots).status !== 'pending';
}

/** What is wrong with it; undefined when its ballots bear it out. */
export function faultOf(record: RoundRecord, rule: VoteRule): string | undefined {
  const { roster, options, ballots, consensus, position, reason } = record;
  const constituted = constitute(rule, roster, options);
  if (!constituted.ok) return constituted.message;
  const { electorate } = constituted;
  const voters = new Set(ballots.map(({ agent }) => agent));
  if (voters.size < ballots.length) return 'a voter is counted twice';
  for (const ballot of ballots) {
    if (!electorate.roster.includes(ballot.agent)) return `${ballot.agent} is counted and not in the roster`;
    if (ballot.position !== ABSTAIN && !electorate.options.includes(ballot.position))
      return `"${ballot.position}" is counted and no option`;
  }
  const { outcome } = judge(electorate, ballots);
  // In quotation marks, for an option may be called `tie`.
  const found = outcome.consensus ? JSON.stringify(outcome.position) : outcome.reason;
  const said = consensus ? JSON.stringify(position) : reason;
  return found === said ? undefined : `it says ${said ?? 'nothing'}, its ballots say ${found}`;
}
