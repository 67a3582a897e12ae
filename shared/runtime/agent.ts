/** An agent as a process: environment -> broker -> seat -> queues -> ready; SIGTERM -> drain -> exit 0. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { natsAdopt } from '../adapters/nats-adopt.ts';
import { ballotRecall } from '../adapters/nats-log.ts';
import { publicKeyOf } from '../adapters/nats-keys.ts';
import { AgentIdTaken, takeSeat } from '../adapters/nats-registry.ts';
import { natsSurveyor } from '../adapters/nats-survey.ts';
import { BrokerUnfit, LEASE_MS } from '../adapters/streams.ts';
import { type Presence, PRESENCE_RENEW_MS } from '../protocol/agent.ts';
import { priceOf } from '../core/prices.ts';
import { timestamp } from '../protocol/ids.ts';
import { subjectsOf } from '../protocol/subjects.ts';
import { beginAgain } from './again.ts';
import type { Asker } from './asking.ts';
import { type Connection, depsOn, joinBroker, streamOptions, systemClock } from './broker.ts';
import { ConfigError, type Environment, EXIT_CONFIG, readConfig } from './config.ts';
import { countedBus } from './counted-bus.ts';
import type { Deps } from './engine/deps.ts';
import type { EngineEvents } from './engine/events.ts';
import { engineOf } from './engine/engine.ts';
import { figuresOf } from './figures.ts';
import { hearEnds } from './goal-ends.ts';
import { handlerRunner, roundIsOver, voterOf } from './handlers.ts';
import { identify } from './identity.ts';
import { logLines } from './log-lines.ts';
import { type Health, healthOf } from './health.ts';
import { serveHttp } from './http.ts';
import { openMailbox } from './mailbox.ts';
import type { Manifest } from './manifest.ts';
import { type Metrics, metricsOf } from './metrics.ts';
import { modelOf, readPrices } from './models.ts';
import { learnOffers } from './offers.ts';
import { openTraces } from './open-tracing.ts';
import type { Traces } from './traces.ts';
import { startMonitor } from './monitor/monitor.ts';
import { answererFor } from './peers/answering.ts';
import { beginsOf } from './peers/bidding.ts';
import { callsOn } from './peers/calls.ts';
import { deskOf } from './peers/desk.ts';
import { handOverBy } from './peers/handover.ts';
import { listener } from './peers/listener.ts';
import { isQuestion } from './peers/questions.ts';
import { type ModelWatch, probeBroker, probeConsumers, watchModel } from './probes.ts';
import { startPulling } from './pulling.ts';
import { endpointCounts, serveInfo } from './service-info.ts';
import { ownSignature, saidBus } from './signing.ts';
import { collectWhenIdle } from './idle-memory.ts';
import { engineEvents, healthEvents, modelObserver, monitorEvents } from './telemetry.ts';
import { mailEvents, messageCount, peerObserver, speechEvents } from './telemetry-messages.ts';
import { currentTrace } from './tracing.ts';
import { buryingBallots, buryingRequests } from './vote/burying.ts';
import { breakersObserver, roundObserver, voterObserver } from './vote-telemetry.ts';
import { holdRound } from './vote/proposer.ts';
import { serveVotes } from './vote/voter.ts';
import { votersOf } from './voters.ts';

const STDOUT = 1;
const TICK_MS = 200;
const IDENTITY_AGAIN_MS = 500;
/** A voter that let so many deadlines in a row pass is left out, for 10 s at first. No round of a task lasts longer than a minute. */
const VOTER_BREAKERS = { failures: 3, openMs: 10_000, openMsMax: 300_000, trialMsMax: 120_000 };
const VOTES_QUEUED_MAX = 256;

/** Runs an agent until it is told to stop. Every way to fail ends the process with one line that says what to do. */
export async function runAgent(manifest: Manifest): Promise<void> {
  let log: Logger = pino({ name: manifest.role });
  try {
    const given = readConfig(process.env, manifest.usesModel ? ['OPENAI_BASE_URL'] : []);
    const config = await identify(given, manifest.role);
    const agentId = config.AGENT_ID;
    // A name of one start only has given no ballot before.
    const isNew = given.AGENT_ID === undefined && given.NATS_IDENTITIES === undefined;
    const traces = await openTraces(process.env, {
      agentId,
      role: manifest.role,
      version: manifest.version,
      mesh: config.MESH,
      ...(config.OPENAI_BASE_URL === undefined || !manifest.usesModel ? {} : { model: config.OPENAI_BASE_URL }),
      onTrouble: (message) => log.warn({ event: 'trace.trouble' }, message),
    });
    log = pino(
      {
        name: manifest.role,
        level: config.LOG_LEVEL,
        base: { agentId, mesh: config.MESH },
        redact: ['NATS_NKEY_SEED', 'NATS_IDENTITIES', 'OPENAI_API_KEY'],
        mixin: () => ({ ...currentTrace() }),
      },
      logLines(STDOUT),
    );
    const stopping = new AbortController();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort(signal));
    try {
      await live(manifest, config, agentId, isNew, log, traces, stopping.signal);
    } finally {
      await settle(traces.close(), LEASE_MS);
    }
    process.exit(0);
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') process.exit(0);
    if (error instanceof AgentIdTaken && process.env['AGENT_ID'] === undefined) {
      // Two of one role chose the same free identity at the same moment: the one that lost chooses again.
      log.warn({ event: 'identity.taken' }, error.message);
      log.flush();
      await pause(IDENTITY_AGAIN_MS * (1 + Math.random()));
      beginAgain(process.env);
    }
    const expected = error instanceof ConfigError || error instanceof AgentIdTaken || error instanceof BrokerUnfit;
    if (expected) process.stderr.write(`${error.message}\n`);
    else log.fatal({ event: 'agent.failed', err: error }, 'the agent failed');
    process.exit(expected ? EXIT_CONFIG : 1);
  }
}

async function live(
  manifest: Manifest,
  config: Environment,
  agentId: string,
  isNew: boolean,
  log: Logger,
  traces: Traces,
  stopping: AbortSignal,
): Promise<void> {
  const capabilities = Object.keys(manifest.capabilities);
  const metrics = metricsOf(capabilities);
  metrics.agentInfo.set({ agent: agentId, role: manifest.role, version: manifest.version }, 1);
  const subjects = subjectsOf(config.MESH);
  const slots = config.SLOTS ?? manifest.limits.slots;
  if (slots < capabilities.length)
    throw new ConfigError(
      `SLOTS: expected at least ${capabilities.length}, one for each capability of this agent, got ${slots}`,
    );
  const prices = readPrices(config);
  const health = healthOf(
    {
      broker: 'not connected yet',
      consumers: 'not asked for yet',
      ...(manifest.usesModel ? { model: 'not asked yet' } : {}),
      stopping: '',
    },
    healthEvents(log, metrics),
  );
  const http = await serveHttp({
    host: config.HTTP_HOST,
    port: config.HTTP_PORT,
    registry: metrics.registry,
    health: () => health.report(),
  }).catch((error: unknown) => {
    const detail = error instanceof Error ? error.message : String(error);
    throw new ConfigError(
      `HTTP_PORT, HTTP_HOST: expected a free port (0: any) on an address of this machine, got ${config.HTTP_PORT} on ${config.HTTP_HOST}: ${detail}`,
    );
  });
  log.info({ event: 'http.listening', port: http.port }, 'http listening');
  const watch = modelWatchOf(config, manifest, health);
  const observer = modelObserver(log, metrics);
  const model = await modelOf(config, manifest, prices, slots, {
    ...observer,
    breakerState(name, state) {
      observer.breakerState(name, state);
      watch?.breaker(state);
    },
  });

  const nc = await joinBroker(config, subjects, agentId, stopping, (message, retryInMs) => {
    health.fail('broker', message);
    log.warn({ event: 'broker.unreachable', retryInMs }, message);
  });
  watchConnection(nc, health, metrics, log);
  const price = manifest.usesModel ? priceOf(prices, config.OPENAI_MODEL) : undefined;
  const figures = figuresOf({
    agentId,
    subjects,
    store: () => deps.store,
    manifest,
    model: config.OPENAI_MODEL,
    price: price?.ok === true ? price.price : undefined,
  });
  const counts = endpointCounts();
  const { tracing } = traces;
  const events = engineEvents(log, metrics, counts, agentId, tracing);
  const observed: EngineEvents = {
    ...events,
    taskEnded(task, durationMs) {
      events.taskEnded(task, durationMs);
      figures.taskEnded(task);
    },
  };
  const onBroker = depsOn(nc, subjects, agentId, config, prices.communication, traces.events(observed), tracing);
  const bus = countedBus(saidBus(onBroker, config, log), subjects, messageCount(metrics));
  const speaking = {
    bus,
    clock: systemClock,
    subjects,
    agentId,
    tracing,
    nextId: randomUUID,
    events: speechEvents(metrics),
  };
  const calls = callsOn(speaking);
  // Loaded now, or never: not in the middle of a task that asks for the first time.
  const asks = manifest.mayMessage.length === 0 ? undefined : await import('./peers/policies.ts');
  const policies = asks?.peerPolicies(peerObserver(log, metrics));
  const voters = votersOf(async () => {
    const { createBreakers } = await import('../adapters/breakers.ts');
    return createBreakers(VOTER_BREAKERS, breakersObserver(log, metrics));
  });
  const registry = voters.watching(onBroker.registry);
  const deps: Deps = { ...onBroker, bus, registry, electors: voters, handOver: handOverBy(calls) };
  const startedAt = timestamp(Date.now());
  const begins = beginsOf(manifest);
  const lasting = {
    agentId,
    role: manifest.role,
    capabilities,
    startedAt,
    version: manifest.version,
    ...(config.NATS_NKEY_SEED === undefined ? {} : { publicKey: publicKeyOf(config.NATS_NKEY_SEED) }),
    ...(begins.length === 0 ? {} : { begins }),
  };
  const presence = (running: number): Presence => ({ ...lasting, ...figures.offer(), load: { running, slots } });
  await figures.tick(Date.now());
  const seat = await takeSeat(nc, subjects, presence(0));
  const offers = learnOffers(deps.registry, prices.communication);
  const observe: Asker['observe'] = (name, outcome, seconds, usage) => {
    metrics.modelSeconds.observe({ model: name, outcome }, seconds);
    metrics.modelTokens.inc({ model: name, type: 'input' }, usage.inputTokens);
    metrics.modelTokens.inc({ model: name, type: 'output' }, usage.outputTokens);
    if (outcome === 'ok' || outcome === 'invalid_output') watch?.answered();
  };
  const rounds = buryingBallots(
    roundObserver(log, metrics, (event) => voters.heard(event)),
    deps,
  );
  const engine = engineOf(deps, {
    runHandler: (ledgers) => {
      const desk = deskOf({ deps, calls, ledgers, policies });
      return handlerRunner(deps, manifest, { tracing, model, ledgers, observe }, desk, log);
    },
    hold: traces.rounds((spec) =>
      holdRound({ bus: deps.bus, store: deps.store, clock: deps.clock, subjects, agentId, observer: rounds }, spec),
    ),
    predict: offers.predict,
  });
  const asker = { tracing, model, ledgers: engine.ledgers, observe };
  // Also an agent without an opinion answers: its abstention is presence.
  const votes = serveVotes(
    {
      bus: deps.bus,
      clock: deps.clock,
      subjects,
      observer: buryingRequests(voterObserver(log, metrics), deps),
      isOver: roundIsOver(deps),
      ...(isNew ? {} : { recall: ballotRecall(nc, subjects, agentId, ownSignature(config)) }),
    },
    {
      agentId,
      capabilities,
      decide: voterOf(deps, manifest, asker, log, figures.ballotGiven),
      tracing,
      concurrency: slots,
      queueMax: VOTES_QUEUED_MAX,
    },
  );
  const pulling = await startPulling(nc, deps, streamOptions(config), engine, capabilities, slots, metrics, counts);
  const answerer = answererFor(deps, manifest, asker, log);
  const closeMailbox = openMailbox({
    ...speaking,
    dead: deps.dead,
    capabilities,
    events: { ...speaking.events, ...mailEvents(log, metrics) },
    takesTime: isQuestion,
    onMessage: listener({
      agentId,
      bidder: {
        manifest,
        priceOf: (name) => figures.offer().estimates?.[name] ?? 0,
        load: () => ({ running: engine.running(), slots }),
      },
      takingOver: { adopt: natsAdopt(nc, subjects), work: pulling.take, capabilities },
      answering: { atOnce: slots, answer: answerer.answer },
      onMessage: manifest.onMessage,
    }),
  });
  const closeInfo = serveInfo(
    deps.bus,
    { subjects, agentId, startedAt, manifest, running: engine.runningTasks },
    counts,
  );
  hearEnds(deps, engine, [answerer]);
  const timers = [
    setInterval(() => engine.renewLeases(), LEASE_MS / 3),
    setInterval(() => void engine.tick(), TICK_MS),
    setInterval(() => void figures.tick(Date.now()), TICK_MS),
    setInterval(() => metrics.receipts.set(engine.receipts()), PRESENCE_RENEW_MS),
  ];
  const lost = keepSeat(() => seat.renew(presence(engine.running())), log);
  await deps.bus.flush();
  const monitor = startMonitor({
    ...deps,
    surveyor: natsSurveyor(nc, subjects),
    view: metrics.mesh,
    events: monitorEvents(log, metrics),
  });
  const probes = [probeBroker(nc, health, metrics), probeConsumers(pulling.problems, health)];
  log.info({ event: 'agent.ready', role: manifest.role, capabilities, slots, port: http.port }, 'ready');
  collectWhenIdle(() => engine.running() === 0 && engine.receipts() === 0);

  const taken = await Promise.race([lost.taken, aborted(stopping)]);
  lost.stop();
  health.fail('stopping', 'told to stop; work under way is being finished');
  engine.drain();
  log.info({ event: 'agent.draining', running: engine.running() }, 'draining');
  if (taken === undefined) await seat.leave().catch(() => undefined);
  monitor.stop();
  closeInfo();
  closeMailbox();
  calls.close();
  await pulling.stop();
  await settle(Promise.all([votes.drain(), pulling.idle()]), config.DRAIN_MS);
  engine.abandon();
  await settle(pulling.idle(), TICK_MS);
  for (const timer of timers) clearInterval(timer);
  for (const stop of probes) stop();
  watch?.stop();
  offers.stop();
  await settle(figures.tick(Date.now(), true), LEASE_MS);
  await settle(nc.drain(), LEASE_MS);
  await http.close();
  log.info({ event: 'agent.stopped' }, 'stopped');
  if (taken !== undefined) throw taken;
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

async function settle(work: Promise<unknown>, withinMs: number): Promise<void> {
  await Promise.race([work.catch(() => undefined), pause(withinMs, undefined, { ref: false })]);
}

function modelWatchOf(config: Environment, manifest: Manifest, health: Health): ModelWatch | undefined {
  if (!manifest.usesModel || config.OPENAI_BASE_URL === undefined) return undefined;
  return watchModel(config.OPENAI_BASE_URL, config.OPENAI_API_KEY ?? 'none', health);
}

function watchConnection(nc: Connection, health: Health, metrics: Metrics, log: Logger): void {
  health.pass('broker');
  void (async () => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') {
        metrics.brokerDisconnects.inc();
        health.fail('broker', `the connection to ${status.server} broke; the agent keeps trying to reach its broker`);
      }
      if (status.type === 'reconnect') health.pass('broker');
      if (status.type === 'disconnect' || status.type === 'reconnect')
        log.warn({ event: `broker.${status.type}` }, `broker ${status.type}`);
      if (status.type === 'error') log.warn({ event: 'broker.error', err: status.error }, 'broker error');
    }
  })();
}

/** Renews the presence; `taken` resolves with the error when another process has this AGENT_ID. */
function keepSeat(renew: () => Promise<void>, log: Logger): { readonly taken: Promise<AgentIdTaken>; stop(): void } {
  let stop = (): void => undefined;
  const taken = new Promise<AgentIdTaken>((resolve) => {
    const timer = setInterval(() => {
      renew().catch((error: unknown) => {
        if (error instanceof AgentIdTaken) resolve(error);
        else log.warn({ event: 'presence.failed', err: error }, 'presence could not be renewed');
      });
    }, PRESENCE_RENEW_MS);
    stop = () => clearInterval(timer);
  });
  return { taken, stop: () => stop() };
}
