/** Takes part in the choice of the mesh's monitor, and looks at queues, streams and presence while it is this agent: two hundred agents ask as much as one. */
import type { Bus, Clock, Random, Registry, Surveyor } from '../../ports.ts';
import { type ElectionEvent, nextStanding, startsAs, type Standing } from '../../core/election.ts';
import type { Subjects } from '../../protocol/subjects.ts';
import type { MeshView } from './mesh-metrics.ts';

export interface MonitorDeps {
  readonly agentId: string;
  readonly subjects: Subjects;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly surveyor: Surveyor;
  readonly registry: Registry;
  readonly view: MeshView;
  readonly events: {
    /** This agent looks from now on, or no more. */
    chosen(isMonitor: boolean): void;
    surveyFailed(what: SurveyPart, error: unknown): void;
  };
}

export const SURVEY_PARTS = ['queues', 'goals', 'streams', 'account', 'presence'] as const;
export type SurveyPart = (typeof SURVEY_PARTS)[number];

export interface Monitor {
  /** Tells the others, so that one of them looks at once. */
  stop(): void;
}

const TICK_MS = 250;
const STALLED_MS = 1_000;
const SURVEY_MS = 5_000;
const LEAVING = new TextEncoder().encode('leaving');
const HERE = new Uint8Array();

export function startMonitor(deps: MonitorDeps): Monitor {
  const { agentId, bus, clock, subjects, view } = deps;
  const own = subjects.monitor(agentId);
  const prefix = own.slice(0, -agentId.length);
  let standing: Standing = startsAs(clock.now(), deps.random());
  let stopped = false;
  let surveyedAt = Number.NEGATIVE_INFINITY;
  let surveying = false;
  let tickedAt = clock.now();

  function take(event: ElectionEvent): void {
    const was = standing.role === 'monitor';
    const step = nextStanding(agentId, standing, event, clock.now(), deps.random());
    standing = step.standing;
    if (step.send) bus.publish(own, HERE);
    const is = step.standing.role === 'monitor';
    if (was === is) return;
    if (is) surveyedAt = Number.NEGATIVE_INFINITY;
    else view.clear();
    deps.events.chosen(is);
  }

  const unsubscribe = bus.subscribe(subjects.monitorWildcard, ({ subject, data }) => {
    // The broker lets an agent publish under its own last token only, so the subject says who it is.
    const from = subject.slice(prefix.length);
    take({ type: data.length === LEAVING.length ? 'left' : 'heard', from });
  });

  async function part<T>(what: SurveyPart, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      deps.events.surveyFailed(what, error);
      return undefined;
    }
  }

  async function survey(): Promise<void> {
    const { surveyor } = deps;
    const [queues, goals, streams, account, presence] = await Promise.all([
      part('queues', () => surveyor.queues()),
      part('goals', () => surveyor.goals()),
      part('streams', () => surveyor.streams()),
      part('account', () => surveyor.account()),
      part('presence', () => deps.registry.list()),
    ]);
    if (standing.role === 'monitor' && !stopped) view.see({ queues, goals, streams, account, presence });
  }

  function tick(): void {
    if (stopped) return;
    // Frozen, or busy: timers run before what has arrived is read.
    take({ type: clock.now() - tickedAt > STALLED_MS ? 'woke' : 'tick' });
    tickedAt = clock.now();
    if (standing.role === 'monitor' && !surveying && clock.now() - surveyedAt >= SURVEY_MS) {
      surveyedAt = clock.now();
      surveying = true;
      void survey().finally(() => (surveying = false));
    }
    clock.after(TICK_MS, tick);
  }
  tick();

  return {
    stop() {
      stopped = true;
      unsubscribe();
      if (standing.role === 'monitor') bus.publish(own, LEAVING);
      view.clear();
    },
  };
}
