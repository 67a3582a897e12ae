/** The processes of the demo's mesh: a broker, a model, and nine agents. */
import { fileURLToPath } from 'node:url';
import { CommandFailure, EXIT } from '../../services/cli/failure.ts';
import { type MeshClient, openMesh } from '../../shared/adapters/mesh-client.ts';
import { probeModel } from '../../shared/adapters/model-probe.ts';
import { startPrivateBroker } from './broker.ts';
import type { DemoOptions } from './options.ts';
import { type Fleet, type Patience, readyPort } from './processes.ts';

export interface DemoMesh {
  readonly url: string;
  readonly name: string;
}

type Environment = Readonly<Record<string, string>>;

const AGENTS: readonly { readonly id: string; readonly service: string; readonly env?: Environment }[] = [
  { id: 'planner-1', service: 'planner' },
  { id: 'planner-2', service: 'planner' },
  { id: 'researcher-1', service: 'researcher' },
  { id: 'researcher-2', service: 'researcher' },
  { id: 'coder-1', service: 'coder' },
  { id: 'coder-2', service: 'coder' },
  { id: 'reviewer-support', service: 'reviewer', env: { REVIEW_CRITERION: 'support' } },
  { id: 'reviewer-figures', service: 'reviewer', env: { REVIEW_CRITERION: 'figures' } },
  { id: 'reviewer-economy', service: 'reviewer', env: { REVIEW_CRITERION: 'economy' } },
];

/** Agents are stopped before what they stand on. */
const WAVE = { broker: 0, model: 1, agents: 2 } as const;
/** All of it is ready within a few seconds; a machine that needs longer than this has another problem. */
const START_MS = 60_000;

/** Starts everything and resolves when every agent takes work. @throws Error that names what did not start, with its last words */
export async function startMesh(fleet: Fleet, options: DemoOptions, signal: AbortSignal): Promise<DemoMesh> {
  await requireModel(options);
  const patience: Patience = { deadline: Date.now() + START_MS, signal };
  const [url, endpoint] = await Promise.all([
    options.natsUrl ?? startPrivateBroker(fleet, WAVE.broker, patience),
    options.endpoint ?? startOfflineModel(fleet, patience),
  ]);
  const mesh = { url, name: options.mesh };
  await createStreams(mesh);
  const agents = AGENTS.map(({ id, service, env = {} }) => {
    const where = { NATS_URL: url, MESH: mesh.name, AGENT_ID: id, OPENAI_BASE_URL: endpoint, ...keyFor(options) };
    return fleet.start(WAVE.agents, serviceCommand(id, service, { ...where, ...env }));
  });
  await Promise.all(agents.map((agent) => readyPort(agent, patience)));
  return mesh;
}

/** A wrong address or key is said at once; agents would wait for their model to come. What is no URL, they refuse themselves. */
async function requireModel({ endpoint }: DemoOptions): Promise<void> {
  if (endpoint === undefined || !URL.canParse(endpoint)) return;
  const problem = await probeModel(endpoint, process.env['OPENAI_API_KEY'] ?? '');
  if (problem !== undefined) throw new CommandFailure(EXIT.unreachable, problem);
}

async function startOfflineModel(fleet: Fleet, patience: Patience): Promise<string> {
  const model = fleet.start(WAVE.model, serviceCommand('model', 'model', {}));
  return `http://127.0.0.1:${await readyPort(model, patience)}/v1`;
}

/** The offline model asks for no key and is no other model; an endpoint of the user gets what the user set. */
function keyFor({ endpoint }: DemoOptions): Environment {
  return endpoint === undefined ? { OPENAI_API_KEY: 'offline', OPENAI_MODEL: 'conclave-offline-1' } : {};
}

/** Once, before nine agents find out at the same time that they are missing. */
async function createStreams(mesh: DemoMesh): Promise<void> {
  const client = await connect(mesh);
  try {
    await client.init(1, []);
  } finally {
    await client.close();
  }
}

/** @throws BrokerUnreachable */
export function connect({ url, name }: DemoMesh): Promise<MeshClient> {
  const { NATS_CREDS: credsFile = '', NATS_NKEY_SEED: nkeySeed = '' } = process.env;
  return openMesh({
    url,
    mesh: name,
    ...(credsFile === '' ? {} : { credsFile }),
    ...(nkeySeed === '' ? {} : { nkeySeed }),
  });
}

/** HOST is what the offline model calls it. */
const LISTEN: Environment = { HTTP_HOST: '127.0.0.1', HOST: '127.0.0.1', HTTP_PORT: '0' };

function serviceCommand(name: string, service: string, env: Environment) {
  const main = fileURLToPath(new URL(`../../services/${service}/main.ts`, import.meta.url));
  const { LOG_LEVEL: wished = '' } = process.env;
  // A service tells its port by a line of level info, so its log may only say more than that, not less.
  const LOG_LEVEL = ['debug', 'trace'].includes(wished) ? wished : 'info';
  return {
    name,
    file: process.execPath,
    args: [main],
    env: { ...process.env, ...LISTEN, LOG_LEVEL, ...env },
  };
}

/** The agents by role, for people: `2 planners, 3 reviewers`. */
export function crew(): string {
  const counts = new Map<string, number>();
  for (const { service } of AGENTS) counts.set(service, (counts.get(service) ?? 0) + 1);
  return [...counts].map(([service, count]) => `${count} ${service}s`).join(', ');
}
