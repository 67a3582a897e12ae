/**
 * What it costs to be watched: metrics, log lines, the log stream and traces. Two meshes on one broker, one with the part in question and one without, do the
 * same work alternately; but for log lines and traces the product itself has no switch for them.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { startBroker, type TestBroker } from '../support/broker.ts';
import { freePort } from '../support/free-port.ts';
import { waitUntil } from '../support/wait.ts';
import { alternate, type Lane, type Measured } from './alternate.ts';
import { type Child, endChild, startChild } from './children.ts';
import { goalRunner, jetstreamConfig, type Runner, type Sync } from './mesh.ts';
import { logSettled } from './rows.ts';
import { chain, median, saturated } from './scenarios.ts';

export interface Overhead {
  readonly sync: Sync;
  readonly part: string;
  /** Tasks a second, with everything and without the part. */
  readonly on: number;
  readonly off: number;
  /** Median over the pairs of rounds of how much slower it is with the part; 0.05: it costs 5 %. */
  readonly slower: number;
  /** Processor time of broker and workers, microseconds a task; undefined where the system does not tell. */
  readonly cpuOn: number | undefined;
  readonly cpuOff: number | undefined;
  readonly rounds: number;
  /** What nobody can do without must cost next to nothing. */
  readonly hasTarget: boolean;
}

/** How the agents of one side are started. */
interface Setting {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Takes the log stream away. */
  readonly prepare?: (nc: NatsConnection, mesh: string) => Promise<unknown>;
}

interface Part {
  readonly name: string;
  readonly on: Setting;
  readonly off: Setting;
  readonly hasTarget: boolean;
}

const UNCOUNTED = ['--import', './test/bench/without-metrics.ts'];
const SILENT = { LOG_LEVEL: 'silent' };

function partsWith(collector: string): readonly Part[] {
  const traced = { OTEL_EXPORTER_OTLP_ENDPOINT: collector };
  const unlogged = async (nc: NatsConnection, mesh: string): Promise<unknown> =>
    (await jetstreamManager(nc)).streams.delete(`${mesh}_log`);
  return [
    { name: 'metrics, scraped every second', on: {}, off: { flags: UNCOUNTED }, hasTarget: true },
    { name: 'log lines (level info)', on: {}, off: { env: SILENT }, hasTarget: true },
    { name: 'metrics and log lines', on: {}, off: { flags: UNCOUNTED, env: SILENT }, hasTarget: true },
    { name: 'log stream, by the broker', on: {}, off: { prepare: unlogged }, hasTarget: false },
    { name: 'traces, all kept and sent', on: { env: traced }, off: {}, hasTarget: false },
  ];
}
const WORKERS = 2;
const SLOTS = '128';
const IN_FLIGHT = 128;
const SCRAPE_MS = 1_000;

interface Arm {
  readonly runner: Runner;
  readonly workers: readonly Child[];
  settled(): Promise<void>;
  stop(): Promise<void>;
}

async function startArm(broker: TestBroker, mesh: string, setting: Setting): Promise<Arm> {
  const workers: Child[] = [];
  const ports: number[] = [];
  for (let index = 0; index < WORKERS; index += 1) {
    const port = await freePort();
    ports.push(port);
    const env = {
      NATS_URL: broker.url,
      MESH: mesh,
      AGENT_ID: `${mesh}-${index}`,
      SLOTS,
      HTTP_PORT: String(port),
      ...setting.env,
    };
    // Says that it is ready whatever its log level is.
    const flags = ['--import', './test/bench/announce.ts', ...(setting.flags ?? [])];
    workers.push(await startChild([...flags, 'services/echo/main.ts'], env, 'announced: ready'));
  }
  const nc = await connect({ servers: broker.url, noAsyncTraces: true });
  await setting.prepare?.(nc, mesh);
  const runner = await goalRunner(nc, mesh);
  const stopScraping = scrape(ports);
  return {
    runner,
    workers,
    settled: () => (setting.prepare === undefined ? logSettled({ nc }, mesh) : Promise.resolve()),
    async stop() {
      await stopScraping();
      await nc.close();
      await Promise.all(workers.map(endChild));
    },
  };
}

/** As a Prometheus would, at the pace of the quickest: rendering the metrics is a part of their price. */
function scrape(ports: readonly number[]): () => Promise<void> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const scraping = (async () => {
    while (!signal.aborted) {
      const dueAt = performance.now() + SCRAPE_MS;
      for (const port of ports) await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      await waitUntil('the next scrape is due', () => signal.aborted || performance.now() >= dueAt);
    }
  })();
  return () => {
    stopping.abort();
    return scraping;
  };
}

/** Takes what a collector takes and keeps nothing: the price of a collector is not ours. */
async function startSink(): Promise<{ readonly url: string; stop(): void }> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, stop: () => server.close() };
}

export async function measureOverhead(sync: Sync, quick: boolean): Promise<readonly Overhead[]> {
  const limits = quick ? { rounds: 4, budgetMs: 6_000 } : { rounds: 31, budgetMs: 24_000 };
  const goals = quick ? 300 : 500;
  const found: Overhead[] = [];
  const sink = await startSink();
  for (const [index, part] of partsWith(sink.url).entries()) {
    const broker = await startBroker({ jetstream: jetstreamConfig(sync) });
    const on = await startArm(broker, `on${index}`, part.on);
    const off = await startArm(broker, `off${index}`, part.off);
    const lane = ({ runner, workers, settled }: Arm): Lane => ({
      round: async () => [chain.tasks.length * (await saturated(runner, chain, goals, IN_FLIGHT))],
      tasks: goals * chain.tasks.length,
      serverPid: broker.pid,
      workerPids: workers.map(({ pid }) => pid),
      settled,
    });
    const both = await alternate(part.name, { conclave: lane(on), raw: lane(off) }, limits);
    found.push(overheadOf(sync, part, both.conclave, both.raw));
    await on.stop();
    await off.stop();
    await broker.stop();
  }
  sink.stop();
  return found;
}

function overheadOf(sync: Sync, { name, hasTarget }: Part, on: Measured, off: Measured): Overhead {
  const rates = ({ rounds }: Measured): number[] => rounds.map(median);
  const without = rates(off);
  const pairs = rates(on).flatMap((rate, round) => (without[round] === undefined ? [] : [1 - rate / without[round]]));
  const cpu = ({ cpu: { serverUs, workersUs } }: Measured): number | undefined =>
    serverUs === undefined || workersUs === undefined ? undefined : serverUs + workersUs;
  return {
    sync,
    part: name,
    on: median(rates(on)),
    off: median(without),
    slower: median(pairs),
    cpuOn: cpu(on),
    cpuOff: cpu(off),
    rounds: pairs.length,
    hasTarget,
  };
}
