/** The processes of one mesh, as a supervisor keeps them: one that dies is followed by another under a new id. */
import type { Mesh } from '../../support/open-mesh.ts';
import type { AgentProcess } from '../../support/processes.ts';
import { CREW, type Role } from './setting.ts';

const CRITERIA = ['support', 'figures', 'economy'] as const;

interface Member {
  readonly role: Role;
  readonly env: Readonly<Record<string, string>>;
  readonly process: AgentProcess;
}

export interface Crew {
  /** Resolves when the process is gone; its successor starts at once. */
  kill(agentId: string): Promise<void>;
  /** Of this role, whoever comes first. */
  anyOf(role: Role): string | undefined;
  /** All of them are. */
  ready(): Promise<void>;
}

export function startCrew(mesh: Mesh, modelUrl: string): Crew {
  const members = new Map<string, Member>();
  let started = 0;
  const start = (role: Role, own: Readonly<Record<string, string>>): void => {
    started += 1;
    const agentId = `${role}-${started}`;
    const env = { OPENAI_BASE_URL: modelUrl, ...own };
    members.set(agentId, { role, env: own, process: mesh.launch(agentId, { folder: `services/${role}`, env }) });
  };
  for (const [role, count] of Object.entries(CREW) as [Role, number][])
    for (let index = 0; index < count; index += 1)
      start(role, role === 'reviewer' ? { REVIEW_CRITERION: CRITERIA[index] ?? '' } : {});
  return {
    async kill(agentId) {
      const member = members.get(agentId);
      if (member === undefined) throw new Error(`there is no agent ${agentId}`);
      members.delete(agentId);
      await member.process.signal('SIGKILL');
      start(member.role, member.env);
    },
    anyOf: (role) => [...members].find(([, member]) => member.role === role)?.[0],
    ready: async () => {
      await Promise.all([...members.values()].map(({ process }) => process.logged('agent.ready')));
    },
  };
}
