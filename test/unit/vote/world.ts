/** One vote round with everything that may go wrong in it, drawn from a seed, in virtual time. */
import { createHash } from 'node:crypto';
import type { Random } from '../../../shared/ports.ts';
import { encode } from '../../../shared/protocol/codec.ts';
import { timestamp } from '../../../shared/protocol/ids.ts';
import { subjectsOf } from '../../../shared/protocol/subjects.ts';
import type { RoundRecord, VoteMethod } from '../../../shared/protocol/vote.ts';
import type { RoundObserver, VoterObserver } from '../../../shared/runtime/vote/observer.ts';
import { type HoldSpec, holdRound } from '../../../shared/runtime/vote/proposer.ts';
import { serveVotes } from '../../../shared/runtime/vote/voter.ts';
import { MemoryBroker, seededRandom, VirtualClock } from '../../support/memory-bus.ts';
import { MemoryDag } from '../../support/memory-dag.ts';
import { ruleOf, type Setting } from './dumb-tally.ts';
import { Mortal } from './mortal.ts';

export const DEADLINE_MS = 200;
export const ROUND = 'round';
export const subjects = subjectsOf('mesh');

/** What bit, how often, over all schedules. */
export class Bites {
  readonly counts = new Map<string, number>();

  add(what: string, count = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + count);
  }

  summary(): string {
    const lines = [...this.counts].map(([what, count]) => `${what} ${count}`);
    return lines.toSorted((one, other) => (one < other ? -1 : 1)).join(', ');
  }
}

const METHODS: readonly VoteMethod[] = ['majority', 'weighted', 'unanimous', 'ahead-by-k'];

export class World {
  readonly clock = new VirtualClock();
  readonly broker: MemoryBroker;
  readonly dag: MemoryDag;
  readonly setting: Setting;
  readonly spec: HoldSpec;
  readonly mortals: Mortal[] = [];
  readonly outcomes: RoundRecord[] = [];
  readonly #random: Random;
  readonly #bites: Bites;
  readonly #services: { drain(): Promise<void> }[] = [];

  constructor(seed: number, bites: Bites) {
    this.#random = seededRandom(seed);
    this.#bites = bites;
    const { clock } = this;
    const faults = { loss: 0.05, duplicate: 0.1, delay: 0.2, delayMsMax: 60 };
    this.broker = new MemoryBroker({ clock, random: seededRandom(seed + 1), latencyMs: 1, faults });
    const dagFaults = { refused: 0.1, unknown: 0.2 };
    this.dag = new MemoryDag({ subjects, clock, random: seededRandom(seed + 2), latencyMs: 1, faults: dagFaults });
    const roster = Array.from({ length: this.int(1, 7) }, (_, index) => `v${index + 1}`);
    this.setting = {
      method: this.pick(METHODS),
      roster,
      options: ['approve', 'reject', 'rework'].slice(0, this.int(2, 3)),
      quorum: this.chance(0.3) ? this.int(1, roster.length) : undefined,
      k: this.chance(0.5) ? this.int(1, 3) : undefined,
      hundredths: Object.fromEntries(
        roster.filter(() => this.chance(0.5)).map((voter) => [voter, this.int(0, 30) * 10]),
      ),
      thresholdPercent: this.chance(0.3) ? this.int(0, 100) : undefined,
    };
    this.spec = {
      roundId: ROUND,
      capability: 'review',
      proposal: 'Ship it',
      options: this.setting.options,
      rule: { ...ruleOf(this.setting), maxRounds: this.chance(0.25) ? 2 : 1 },
      roster,
      deadlineMs: DEADLINE_MS,
      correlationId: `c-${seed}`,
      signal: new AbortController().signal,
    };
  }

  int = (from: number, to: number) => from + Math.floor(this.#random() * (to - from + 1));
  chance = (share: number) => this.#random() < share;
  pick<T>(items: readonly T[]): T {
    const item = items[this.int(0, items.length - 1)];
    if (item === undefined) throw new Error('expected something to pick from');
    return item;
  }

  /** A voter that thinks for a while, may fail, may be dead, and may restart with another opinion and no memory. */
  startVoter(agentId: string): void {
    if (this.chance(0.1)) return this.#bites.add('voter dead');
    const start = () => {
      const bus = this.broker.connect(agentId);
      const ignored: VoterObserver['ignored'] = ({ reason }) => this.#bites.add(`voter ignored ${reason}`);
      const observer: VoterObserver = {
        ignored,
        answered: ({ repeated }) => this.#bites.add(repeated ? 'ballot sent again' : 'ballot sent'),
        failed: ({ step }) => this.#bites.add(`voter failed to ${step}`),
      };
      const decide = async () => {
        await new Promise<void>((resolve) => {
          this.clock.after(this.int(0, this.chance(0.2) ? 300 : 30), resolve);
        });
        if (this.chance(0.1)) throw new Error('no idea');
        return { position: this.chance(0.6) ? 'approve' : this.pick([...this.setting.options, 'abstain', 'nonsense']) };
      };
      const isOver = async (roundId: string) => {
        if (this.chance(0.1)) throw new Error('the store does not answer');
        return (await this.dag.read(subjects.roundKey(roundId))) !== undefined;
      };
      const deps = { bus, clock: this.clock, subjects, observer, isOver };
      const service = serveVotes(deps, { agentId, capabilities: ['review'], decide, concurrency: 2, queueMax: 2 });
      this.#services.push(service);
      return bus;
    };
    const bus = start();
    if (!this.chance(0.2)) return;
    this.clock.after(this.int(0, DEADLINE_MS), () => {
      bus.close();
      this.#bites.add('voter restarted');
      start();
    });
  }

  /** Ballots that must not count, each sent under the token of whoever sends it. */
  startNoise(): void {
    const { roster, options } = this.setting;
    const kinds: readonly (() => readonly [token: string, data: Uint8Array])[] = [
      () => this.#ballot('stranger', 'stranger'),
      () => this.#ballot('stranger', this.pick(roster)),
      () => this.#ballot(this.pick(roster), this.pick(roster)),
      () => this.#ballot(this.pick(roster), undefined, 'nonsense'),
      () => this.#ballot(this.pick(roster), undefined, this.pick(options), 'another'),
      () => [this.pick(roster), new Uint8Array([0x7b, 0x22, 0xff])],
      () => [this.pick(roster), encode({ roundId: ROUND, position: options[0] })],
      () => this.#ballot(this.pick(roster), undefined, this.pick(options)),
    ];
    for (let count = this.int(0, 12); count > 0; count -= 1) {
      this.clock.after(this.#random() * DEADLINE_MS * 1.5, () => {
        const [token, data] = this.pick(kinds)();
        this.broker.connect(token).publish(subjects.ballot(ROUND, token), data);
      });
    }
  }

  /** A stranger says that the round is over: a voter that believed it would lose its vote. */
  startLies(): void {
    const { proposal: _proposal, options, rule, correlationId } = this.spec;
    const over = { roundId: ROUND, proposal: '', options, rule, roster: [], correlationId };
    for (let count = this.int(0, 2); count > 0; count -= 1) {
      this.clock.after(this.#random() * DEADLINE_MS, () => {
        const deadline = timestamp(this.clock.now());
        const reply = subjects.ballots(ROUND);
        this.broker.connect('liar').publish(subjects.vote('review'), encode({ ...over, deadline }), { reply });
        this.#bites.add('told a lie');
      });
    }
  }

  #ballot(token: string, agent = token, position = 'approve', roundId = ROUND): readonly [string, Uint8Array] {
    return [token, encode({ roundId, agent, position, timestamp: timestamp(this.clock.now()) })];
  }

  startProposer(agentId: string, delayMs: number, death?: { readonly step: number; readonly before: boolean }): void {
    this.clock.after(delayMs, () => {
      const mortal = new Mortal(this.broker.connect(agentId), death);
      this.mortals.push(mortal);
      const note = (what: string) => void (mortal.dead || this.#bites.add(what));
      const observer: RoundObserver = {
        asked: ({ again, discussion }) => note(again ? 'asked again' : discussion > 1 ? 'discussed' : 'asked'),
        counted: () => note('counted'),
        rejected: ({ reason }) => note(`rejected ${reason}`),
        ended: ({ silent }) => silent.forEach(() => note('voter silent')),
        decided: ({ created }) => note(created ? 'decision created' : 'decision taken over'),
      };
      const clock = mortal.clock(this.clock, this.chance(0.3) ? this.int(1, 40) : 0);
      const deps = { bus: mortal.bus(), store: mortal.store(this.dag), clock, subjects, agentId, observer };
      void this.#hold(deps, 10);
    });
  }

  async #hold(deps: Parameters<typeof holdRound>[0], triesLeft: number): Promise<void> {
    try {
      this.outcomes.push(await holdRound(deps, this.spec));
    } catch (error) {
      // The store did not answer: whoever holds the round holds it again.
      if (triesLeft === 0) throw error;
      this.#bites.add('held again');
      await this.#hold(deps, triesLeft - 1);
    }
  }

  async end(): Promise<void> {
    await this.clock.run();
    await Promise.all(this.#services.map((service) => service.drain()));
  }

  /** Everything that was said and stored, in order. */
  digest(): string {
    const hash = createHash('sha256');
    for (const { subject, data, at, from } of this.broker.published)
      hash.update(`${at} ${from} ${subject} `).update(data);
    for (const { subject, data } of this.dag.stream) hash.update(subject).update(data);
    return hash.digest('hex');
  }
}
