/**
 * The running figures of an agent's own capabilities: what it sees is added to what stands in the DAG bucket, where it outlives every agent, and what
 * stands there, beside the manifest's estimate, is what it expects the next task to use. Its presence tells the price of that.
 */
import { computeCost, type TokenCount, toUsd } from '../core/cost.ts';
import {
  addFigures,
  expectedTokens,
  expectedVotes,
  hasSeen,
  nothingSeen,
  type Observed,
  seeBallot,
  seeTask,
  seeVotes,
  usedBy,
} from '../core/figures.ts';
import type { DagStore } from '../ports.ts';
import type { Presence } from '../protocol/agent.ts';
import { decode, encode } from '../protocol/codec.ts';
import { Figures } from '../protocol/figures.ts';
import type { ModelPrice } from '../protocol/prices.ts';
import type { Subjects } from '../protocol/subjects.ts';
import type { TaskRecord } from '../protocol/task.ts';
import type { Manifest } from './manifest.ts';

export interface FigureKeeper {
  taskEnded(task: TaskRecord): void;
  /** A ballot of this agent, and what its opinion used. */
  ballotGiven(used: TokenCount): void;
  /** What this agent's work is expected to cost; for its presence. */
  offer(): Pick<Presence, 'estimates' | 'opinions'>;
  /** Writes what was seen and reads what others saw, when it is time for it; `now`: ms since the epoch. `soon`: now. Never throws. */
  tick(now: number, soon?: boolean): Promise<void>;
}

/** What is seen is written this often at most; an agent that dies loses what it saw since. */
const WRITE_EVERY_MS = 10_000;
const READ_EVERY_MS = 30_000;
/** Agents that write at the same moment: whoever loses so often adds its figures to the next write. */
const CONFLICTS_MAX = 8;
/** Capabilities of voters whose rounds are noted between two writes (I10). */
const CAPABILITIES_MAX = 100;
/** A vote on a result usually takes one round; a request carries the result and what it rests on. */
const VOTES_SEED = { rounds: 1, bytes: 2_000 };
const NO_TOKENS: TokenCount = { inputTokens: 0, outputTokens: 0 };

interface Parts {
  readonly agentId: string;
  readonly subjects: Subjects;
  readonly store: () => Pick<DagStore, 'read' | 'commit'>;
  readonly manifest: Manifest;
  readonly model: string;
  /** Undefined: the agent uses no model. */
  readonly price: ModelPrice | undefined;
}

export function figuresOf({ agentId, subjects, store, manifest, model, price }: Parts): FigureKeeper {
  const own = Object.keys(manifest.capabilities);
  /** Seen since the last write. */
  const seen = new Map<string, Observed>();
  /** As the bucket had it last. */
  const standing = new Map<string, Observed>();
  let writtenAt = Number.NEGATIVE_INFINITY;
  let readAt = Number.NEGATIVE_INFINITY;
  let busy: Promise<void> | undefined;

  function note(capability: string, see: (before: Observed) => Observed): void {
    if (seen.size < CAPABILITIES_MAX || seen.has(capability))
      seen.set(capability, see(seen.get(capability) ?? nothingSeen(capability)));
  }

  function figuresNow(capability: string): Observed {
    return addFigures(
      standing.get(capability) ?? nothingSeen(capability),
      seen.get(capability) ?? nothingSeen(capability),
    );
  }

  async function read(capability: string): Promise<{ figures: Observed; revision: number }> {
    const stored = await store().read(subjects.figuresKey(capability));
    const decoded = stored === undefined ? undefined : decode(Figures, stored.data);
    // What cannot be read is written anew: no more than a prediction rests on it.
    const figures = decoded?.ok === true ? decoded.value : nothingSeen(capability);
    return { figures, revision: stored?.revision ?? 0 };
  }

  async function write(capability: string, more: Observed, now: number): Promise<boolean> {
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const { figures, revision } = await read(capability);
      const sum = addFigures(figures, more);
      const data = encode({ ...sum, by: `${agentId}.${now}.${conflicts}` } satisfies Figures);
      const subject = subjects.dagSubject(subjects.figuresKey(capability));
      if ((await store().commit([{ subject, data, expect: revision }])).status !== 'committed') continue;
      standing.set(capability, sum);
      return true;
    }
    return false;
  }

  async function flush(now: number): Promise<void> {
    writtenAt = now;
    const due = new Map(seen);
    seen.clear();
    for (const [capability, more] of due) {
      const written = await write(capability, more, now).catch(() => false);
      // Of unknown outcome: counted twice at worst, which moves a mean by little.
      if (!written) note(capability, (before) => addFigures(more, before));
    }
  }

  async function refresh(now: number): Promise<void> {
    readAt = now;
    for (const capability of own) {
      const { figures } = await read(capability);
      standing.set(capability, figures);
    }
  }

  return {
    taskEnded(task) {
      if (task.status !== 'completed') return;
      const { capability, cost, vote, reworks = 0 } = task;
      if (price !== undefined) note(capability, (before) => seeTask(before, model, cost));
      if (vote === undefined || cost.messages === 0) return;
      const said = { rounds: reworks + 1, messages: cost.messages, bytes: cost.bytes ?? 0 };
      note(vote.capability, (before) => seeVotes(before, said));
    },
    ballotGiven(used) {
      // A request does not say under which capability it was sent; an opinion costs the same under each.
      if (price !== undefined)
        for (const capability of own) note(capability, (before) => seeBallot(before, model, used));
    },
    offer() {
      const usd = (tokens: TokenCount): number => (price === undefined ? 0 : toUsd(computeCost(price, tokens)));
      const estimates = own.map((capability): [string, number] => {
        const seed = manifest.capabilities[capability]?.estimate ?? NO_TOKENS;
        return [capability, usd(expectedTokens(usedBy(figuresNow(capability).tasks, model), seed))];
      });
      if (manifest.vote === undefined) return { estimates: Object.fromEntries(estimates) };
      const opinions = own.map((capability) => {
        const { ballots, voted } = figuresNow(capability);
        const tokens = expectedTokens(usedBy(ballots, model), manifest.voteEstimate ?? NO_TOKENS);
        return [capability, { usd: usd(tokens), ...expectedVotes(voted, VOTES_SEED) }] as const;
      });
      return { estimates: Object.fromEntries(estimates), opinions: Object.fromEntries(opinions) };
    },
    async tick(now, soon = false) {
      if (busy !== undefined && !soon) return;
      await busy;
      const due = [...seen.values()].some(hasSeen) && (soon || now - writtenAt >= WRITE_EVERY_MS);
      if (!due && now - readAt < READ_EVERY_MS) return;
      busy = (due ? flush(now) : refresh(now)).catch(() => undefined).finally(() => (busy = undefined));
      await busy;
    },
  };
}
