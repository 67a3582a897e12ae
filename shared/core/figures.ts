/** Running figures: what a piece of work of a capability has used on average lately. Sums, so that several agents can add theirs in any order. */
import type { Figures, Used, Voted } from '../protocol/figures.ts';
import type { TokenCount } from './cost.ts';

/** What one agent saw since it last wrote. */
export type Observed = Omit<Figures, 'by'>;

/** Beyond this the sums are halved, so that a mean follows what changes: it speaks of the last few hundred pieces of work. */
const COUNT_MAX = 256;
/** Models that a capability's figures keep apart; what comes after is not kept (I10). */
const MODELS_MAX = 16;

export function nothingSeen(capability: string): Observed {
  return { capability, tasks: {}, ballots: {}, voted: { count: 0, rounds: 0, messages: 0, bytes: 0 } };
}

export function hasSeen({ tasks, ballots, voted }: Observed): boolean {
  return voted.count > 0 || Object.keys(tasks).length > 0 || Object.keys(ballots).length > 0;
}

export function seeTask(seen: Observed, model: string, tokens: TokenCount): Observed {
  return { ...seen, tasks: together(seen.tasks, { [model]: { count: 1, ...only(tokens) } }) };
}

export function seeBallot(seen: Observed, model: string, tokens: TokenCount): Observed {
  return { ...seen, ballots: together(seen.ballots, { [model]: { count: 1, ...only(tokens) } }) };
}

export function seeVotes(seen: Observed, votes: Omit<Voted, 'count'>): Observed {
  return { ...seen, voted: sumOfVoted(seen.voted, { count: 1, ...votes }) };
}

/** Both together; halved where they have grown too old. */
export function addFigures(one: Observed, other: Observed): Observed {
  return {
    capability: one.capability,
    tasks: together(one.tasks, other.tasks),
    ballots: together(one.ballots, other.ballots),
    voted: sumOfVoted(one.voted, other.voted),
  };
}

/** What one piece of work is expected to use: the mean of what was seen and of `seed`, which counts as one piece. */
export function expectedTokens(used: Used | undefined, seed: TokenCount): TokenCount {
  const { count, inputTokens, outputTokens } = used ?? { count: 0, inputTokens: 0, outputTokens: 0 };
  const mean = (sum: number, first: number): number => Math.round((sum + first) / (count + 1));
  return { inputTokens: mean(inputTokens, seed.inputTokens), outputTokens: mean(outputTokens, seed.outputTokens) };
}

/** Rounds that a voted task takes, and bytes of one message of them; seeded as tokens are. */
export function expectedVotes(
  voted: Voted | undefined,
  seed: { readonly rounds: number; readonly bytes: number },
): { readonly rounds: number; readonly bytes: number } {
  const { count, rounds, messages, bytes } = voted ?? { count: 0, rounds: 0, messages: 0, bytes: 0 };
  return { rounds: (rounds + seed.rounds) / (count + 1), bytes: Math.round((bytes + seed.bytes) / (messages + 1)) };
}

export function usedBy(by: Readonly<Record<string, Used>>, model: string): Used | undefined {
  // Own keys only: a model may be called `constructor`.
  return Object.hasOwn(by, model) ? by[model] : undefined;
}

function only({ inputTokens, outputTokens }: TokenCount): TokenCount {
  return { inputTokens, outputTokens };
}

function together(one: Readonly<Record<string, Used>>, other: Readonly<Record<string, Used>>): Record<string, Used> {
  const sums = new Map(Object.entries(one));
  for (const [model, used] of Object.entries(other)) {
    const before = sums.get(model);
    if (before !== undefined) sums.set(model, sumOfUsed(before, used));
    else if (sums.size < MODELS_MAX) sums.set(model, used);
  }
  return Object.fromEntries(sums);
}

function sumOfUsed(one: Used, other: Used): Used {
  const scale = fade(one.count + other.count);
  return {
    count: scale * (one.count + other.count),
    inputTokens: scale * (one.inputTokens + other.inputTokens),
    outputTokens: scale * (one.outputTokens + other.outputTokens),
  };
}

function sumOfVoted(one: Voted, other: Voted): Voted {
  const scale = fade(one.count + other.count);
  return {
    count: scale * (one.count + other.count),
    rounds: scale * (one.rounds + other.rounds),
    messages: scale * (one.messages + other.messages),
    bytes: scale * (one.bytes + other.bytes),
  };
}

function fade(count: number): number {
  return count > COUNT_MAX ? 0.5 : 1;
}
