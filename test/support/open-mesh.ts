/** A mesh with a name of its own on a broker, agents as processes, and a stranger who looks at it. */
import { fileURLToPath } from 'node:url';
import { connectForeign, type Foreign } from './foreign.ts';
import { type AgentProcess, endProcess, startProcess } from './processes.ts';

/** What an agent would begin again for, which is a sixth of the processor time that its start takes. */
const SETTINGS = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL('../../.cache/compiled/', import.meta.url)),
  MALLOC_ARENA_MAX: '1',
};

export interface Mesh {
  readonly name: string;
  readonly url: string;
  readonly foreign: Foreign;
  /** Starts an agent and returns when it is ready. `agentId`: also what AGENT_ID is set to. */
  agent(agentId: string, options?: AgentOptions): Promise<AgentProcess>;
  /** Starts an agent and returns at once. */
  launch(agentId: string, options?: AgentOptions): AgentProcess;
  /** The last words of all agents. */
  tails(): string;
  /** All that were started, also those that have ended. */
  agents(): readonly AgentProcess[];
  close(): Promise<void>;
}

export interface AgentOptions {
  /** Default: `services/echo`. */
  readonly folder?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export async function openMesh(label: string, url: string): Promise<Mesh> {
  return openMeshNamed(`${label}-${crypto.randomUUID().slice(0, 8)}`, url);
}

/** One that may be there already. */
export async function openMeshNamed(name: string, url: string): Promise<Mesh> {
  const foreign = await connectForeign(url, name);
  const agents: AgentProcess[] = [];
  const launch = (agentId: string, options: AgentOptions = {}): AgentProcess => {
    const env = { ...SETTINGS, NATS_URL: url, MESH: name, AGENT_ID: agentId, ...options.env };
    const agent = startProcess({ folder: options.folder ?? 'services/echo', env });
    agents.push(agent);
    return agent;
  };
  return {
    name,
    url,
    foreign,
    launch,
    async agent(agentId, options) {
      const agent = launch(agentId, options);
      await agent.logged('agent.ready');
      return agent;
    },
    agents: () => agents,
    tails: () => agents.map((agent) => agent.tail()).join('\n'),
    async close() {
      await Promise.all(agents.splice(0).map(endProcess));
      await foreign.close();
    },
  };
}
