/**
 * What probability theory expects of a round with two answers, of which each voter gives the right one with a known probability. No simulation, and
 * nothing of the code that it is compared with.
 */

/** Of one round. What is missing to 1 in `right + wrong` ends without a decision. */
export interface Expected {
  readonly right: number;
  readonly wrong: number;
  /** Voters who are asked, and paid for. */
  readonly asked: number;
}

/** The right answers among those rounds that were decided. */
export function accuracyOf({ right, wrong }: Expected): number {
  return right / (right + wrong);
}

/** Majority of an odd number of voters who err independently: the upper half of a binomial distribution (Condorcet's jury). */
export function majority(voters: number, accuracy: number): Expected {
  let right = 0;
  for (let votes = (voters + 1) / 2; votes <= voters; votes += 1) right += binomial(voters, votes, accuracy);
  return { right, wrong: 1 - right, asked: voters };
}

/**
 * Weighted votes of voters who err independently: every one of the `2 ** n` ways to be right or wrong. Weights in whole units, so that a tie is a tie.
 */
export function weighted(accuracies: readonly number[], weights: readonly number[]): Expected {
  let right = 0;
  let wrong = 0;
  for (let ways = 0; ways < 2 ** accuracies.length; ways += 1) {
    let probability = 1;
    let lead = 0;
    for (const [voter, accuracy] of accuracies.entries()) {
      const isRight = ((ways >> voter) & 1) === 1;
      probability *= isRight ? accuracy : 1 - accuracy;
      lead += isRight ? (weights[voter] ?? 0) : -(weights[voter] ?? 0);
    }
    if (lead > 0) right += probability;
    if (lead < 0) wrong += probability;
  }
  return { right, wrong, asked: accuracies.length };
}

/** Weighted votes when all draw the same lot: a voter is right when the lot is below its accuracy, so the best are right longest. */
export function weightedSharedLot(accuracies: readonly number[], weights: readonly number[]): Expected {
  const limits = [...new Set([0, ...accuracies, 1])].sort((one, other) => one - other);
  let right = 0;
  let wrong = 0;
  for (const [index, from] of limits.slice(0, -1).entries()) {
    const probability = (limits[index + 1] ?? 1) - from;
    const lead = accuracies.reduce(
      (sum, accuracy, voter) => sum + (accuracy > from ? 1 : -1) * (weights[voter] ?? 0),
      0,
    );
    if (lead > 0) right += probability;
    if (lead < 0) wrong += probability;
  }
  return { right, wrong, asked: accuracies.length };
}

/** The best weight of a voter is the logarithm of its odds (Nitzan and Paroush 1982); here in whole hundredths. */
export function logOddsWeight(accuracy: number): number {
  return Math.round(100 * Math.log(accuracy / (1 - accuracy)));
}

/**
 * Ahead by k with voters without end: the gambler's ruin. Each vote moves the lead by one, and the first side that is k ahead has won; this is Wald's
 * sequential test, so no other rule with these errors asks fewer voters on average.
 */
export function ruin(accuracy: number, k: number): Expected {
  const odds = ((1 - accuracy) / accuracy) ** k;
  const right = 1 / (1 + odds);
  // With even odds the walk takes k squared steps.
  const asked = accuracy === 0.5 ? k ** 2 : (k * (2 * right - 1)) / (2 * accuracy - 1);
  // Not `1 - right`: what matters of it is far below the precision of a number near 1.
  return { right, wrong: odds / (1 + odds), asked };
}

/**
 * Ahead by k with a roster that ends, of at least k voters: asked are always the fewest that can decide together with those who have answered, while
 * there are any, and until no answer can change the outcome. Whether a decision is right does not depend on where the roster ends: to each walk up
 * to +k there is one down to -k that is `odds ** k` times as probable, so `accuracyOf` this is that of `ruin`.
 */
export function aheadByK(accuracy: number, k: number, roster: number): Expected {
  let right = 0;
  let wrong = 0;
  let asked = 0;
  // Walks that are not over after so many votes, by the lead of the right answer and by who was asked.
  let walks: readonly Walk[] = [{ lead: 0, asked: k, probability: 1 }];
  for (let votes = 1; walks.length > 0; votes += 1) {
    const next = new Map<string, Walk>();
    for (const walk of walks.flatMap((each) => stepsOf(each, accuracy))) {
      const ahead = Math.abs(walk.lead);
      const open = roster - votes;
      const isLost = ahead === 0 ? open === 0 : ahead + open < k && open < ahead;
      if (ahead === k || isLost) {
        if (walk.lead === k) right += walk.probability;
        if (walk.lead === -k) wrong += walk.probability;
        asked += walk.probability * walk.asked;
        continue;
      }
      const askedNow = Math.min(roster, Math.max(walk.asked, votes + k - ahead));
      const key = `${walk.lead} ${askedNow}`;
      const probability = walk.probability + (next.get(key)?.probability ?? 0);
      next.set(key, { lead: walk.lead, asked: askedNow, probability });
    }
    walks = [...next.values()];
  }
  return { right, wrong, asked };
}

interface Walk {
  readonly lead: number;
  readonly asked: number;
  readonly probability: number;
}

function stepsOf({ lead, asked, probability }: Walk, accuracy: number): readonly Walk[] {
  return [
    { lead: lead + 1, asked, probability: probability * accuracy },
    { lead: lead - 1, asked, probability: probability * (1 - accuracy) },
  ];
}

/**
 * Voters who share one lot with probability `correlation`, and err independently otherwise. For voters of one accuracy this is the correlation
 * coefficient of any two of them being right; each is as accurate as without it.
 */
export function correlated(independent: Expected, sharedLot: Expected, correlation: number): Expected {
  const mix = (one: number, other: number) => (1 - correlation) * one + correlation * other;
  return {
    right: mix(independent.right, sharedLot.right),
    wrong: mix(independent.wrong, sharedLot.wrong),
    asked: mix(independent.asked, sharedLot.asked),
  };
}

/** The smallest lead with which a task of so many decisions fails with less than this probability. */
export function leadFor(accuracy: number, decisions: number, failureMax: number): { k: number; failure: number } {
  for (let k = 1; ; k += 1) {
    const failure = failureOf(ruin(accuracy, k).wrong, decisions);
    if (failure < failureMax) return { k, failure };
  }
}

/** That one of so many independent decisions is wrong; precise also where `1 - wrong` is 1 in a double. */
function failureOf(wrong: number, decisions: number): number {
  return -Math.expm1(decisions * Math.log1p(-wrong));
}

function binomial(trials: number, successes: number, probability: number): number {
  let value = 1;
  for (let index = 1; index <= successes; index += 1) value *= ((trials - successes + index) / index) * probability;
  return value * (1 - probability) ** (trials - successes);
}
