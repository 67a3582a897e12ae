/** Who looks at the mesh for all: whatever is lost, late, killed, frozen or cut off, soon afterwards it is one agent, and stays that one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BEACON_MS,
  type ElectionEvent,
  nextStanding,
  SILENCE_MS,
  SPREAD_MS,
  type Standing,
  startsAs,
} from '../../shared/core/election.ts';
import { seededRandom } from '../support/memory-bus.ts';

const TICK_MS = 250;
/** One silence, everybody's turn, a lost tie, and the ticks and deliveries in between. */
const SETTLED_MS = 2 * (SILENCE_MS + SPREAD_MS) + BEACON_MS + 2_000;
const WATCHED_MS = 60_000;
const LATENCY_MS_MAX = 200;

interface Peer {
  readonly id: string;
  standing: Standing;
  state: 'live' | 'frozen' | 'dead';
  /** Nothing that it sends or should hear arrives. */
  cut: boolean;
  /** What arrives while it is frozen. */
  backlog: ElectionEvent[];
}

interface Underway {
  readonly at: number;
  readonly to: Peer;
  readonly event: ElectionEvent;
}

function world(count: number, seed: number) {
  const random = seededRandom(seed);
  let now = 0;
  let lossRate = 0;
  const peers: Peer[] = Array.from({ length: count }, (_, index) => ({
    id: `agent-${index}`,
    standing: startsAs(0, random()),
    state: 'live',
    cut: false,
    backlog: [],
  }));
  let underway: Underway[] = [];

  function send(from: Peer, type: 'heard' | 'left'): void {
    for (const to of peers) {
      if (from.cut || to.cut || random() < lossRate) continue;
      underway.push({ at: now + random() * LATENCY_MS_MAX, to, event: { type, from: from.id } });
    }
  }

  function feed(peer: Peer, event: ElectionEvent): void {
    if (peer.state === 'frozen') peer.backlog.push(event);
    if (peer.state !== 'live') return;
    const step = nextStanding(peer.id, peer.standing, event, now, random());
    peer.standing = step.standing;
    if (step.send) send(peer, 'heard');
  }

  return {
    peers,
    setLoss: (rate: number) => (lossRate = rate),
    leave(peer: Peer) {
      if (peer.standing.role === 'monitor') send(peer, 'left');
      peer.state = 'dead';
    },
    thaw(peer: Peer) {
      peer.state = 'live';
      // Timers come before what has arrived.
      feed(peer, { type: 'woke' });
      for (const event of peer.backlog.splice(0)) feed(peer, event);
    },
    restart(peer: Peer) {
      peer.state = 'live';
      peer.backlog = [];
      peer.standing = startsAs(now, random());
    },
    monitors: () => peers.filter(({ state, standing }) => state !== 'dead' && standing.role === 'monitor'),
    run(ms: number, look: () => void = () => undefined) {
      for (const end = now + ms; now < end; now += TICK_MS) {
        const due = underway.filter(({ at }) => at < now + TICK_MS).toSorted((one, other) => one.at - other.at);
        underway = underway.filter(({ at }) => at >= now + TICK_MS);
        for (const { to, event } of due) feed(to, event);
        for (const peer of peers) feed(peer, { type: 'tick' });
        look();
      }
    },
  };
}

const Fault = fc.record({
  who: fc.nat(7),
  what: fc.constantFrom('kill', 'leave', 'freeze', 'thaw', 'restart', 'cut', 'heal'),
  loss: fc.constantFrom(0, 0, 0.3, 1),
  ms: fc.integer({ min: 0, max: 12_000 }),
});

describe('the choice of the monitor', () => {
  it('ends with one, who stays, whatever happened before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.nat(),
        fc.array(Fault, { maxLength: 12 }),
        (count, seed, faults) => {
          const mesh = world(count, seed);
          for (const { who, what, loss, ms } of faults) {
            const peer = mesh.peers[who % count];
            if (peer === undefined) continue;
            if (what === 'kill') peer.state = 'dead';
            if (what === 'leave') mesh.leave(peer);
            if (what === 'freeze' && peer.state === 'live') peer.state = 'frozen';
            if (what === 'thaw' && peer.state === 'frozen') mesh.thaw(peer);
            if (what === 'restart' && peer.state === 'dead') mesh.restart(peer);
            if (what === 'cut') peer.cut = true;
            if (what === 'heal') peer.cut = false;
            mesh.setLoss(loss);
            mesh.run(ms);
          }
          mesh.setLoss(0);
          for (const peer of mesh.peers) {
            peer.cut = false;
            if (peer.state === 'frozen') mesh.thaw(peer);
          }
          const living = mesh.peers.filter(({ state }) => state === 'live');
          mesh.run(SETTLED_MS);
          const [chosen] = mesh.monitors();
          expect(mesh.monitors().length).toBe(living.length === 0 ? 0 : 1);
          mesh.run(WATCHED_MS, () => expect(mesh.monitors()).toEqual(chosen === undefined ? [] : [chosen]));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('never falls on an agent that does not hear itself', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.nat(), (count, seed) => {
        const mesh = world(count, seed);
        for (const peer of mesh.peers) peer.cut = true;
        mesh.run(WATCHED_MS, () => expect(mesh.monitors()).toEqual([]));
      }),
      { numRuns: 50 },
    );
  });

  it('is not disturbed by others that freeze and thaw', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.nat(), fc.integer({ min: 0, max: 60_000 }), (count, seed, ms) => {
        const mesh = world(count, seed);
        mesh.run(SETTLED_MS);
        const [chosen] = mesh.monitors();
        const others = mesh.peers.filter((peer) => peer !== chosen);
        for (const peer of others) peer.state = 'frozen';
        mesh.run(ms);
        for (const peer of others) mesh.thaw(peer);
        mesh.run(WATCHED_MS, () => expect(mesh.monitors()).toEqual([chosen]));
      }),
      { numRuns: 100 },
    );
  });

  it('is given up by a monitor that is cut off, and made anew by the others', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.nat(), (count, seed) => {
        const mesh = world(count, seed);
        mesh.run(SETTLED_MS);
        const [first] = mesh.monitors();
        if (first !== undefined) first.cut = true;
        mesh.run(SETTLED_MS);
        expect(mesh.monitors()).toHaveLength(1);
        expect(mesh.monitors()).not.toContain(first);
      }),
      { numRuns: 100 },
    );
  });

  it('is over a second or two after the monitor left in good order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.nat(), (count, seed) => {
        const mesh = world(count, seed);
        mesh.run(SETTLED_MS);
        const [first] = mesh.monitors();
        if (first !== undefined) mesh.leave(first);
        mesh.run(SPREAD_MS + 4 * TICK_MS);
        expect(mesh.monitors().length).toBeGreaterThan(0);
      }),
      { numRuns: 100 },
    );
  });
});
