/** The users of a mesh: its agents, the operator, the admin, those who submit, and the server's own. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isId } from '../../shared/protocol/ids.ts';
import {
  adminPermissions,
  agentPermissions,
  operatorPermissions,
  submitterPermissions,
} from '../../shared/protocol/permissions.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { accountsText } from './accounts.ts';
import { identitiesOf, type Wanted } from './boundaries.ts';
import { keyOf, seedOf, writeSecret } from './seeds.ts';

export interface GenerateOptions {
  readonly mesh: string;
  readonly agents: readonly Wanted[];
  readonly submitters: readonly string[];
  /** Users whose seed is replaced. */
  readonly rotate: readonly string[];
  readonly out: string;
}

export interface Generated {
  readonly file: string;
  readonly users: readonly string[];
  /** Of all agents: the queues that `conclave admin init` must make. */
  readonly capabilities: readonly string[];
}

/** The command line's token among the agents'. */
const CLI = 'cli';

/** Writes `<out>/accounts.conf`, `<out>/seeds/<user>.seed` and `<out>/identities/<role>`. Throws Error with one line that says what is wrong. */
export async function generate(options: GenerateOptions): Promise<Generated> {
  const { mesh, rotate, out } = options;
  const bad = [mesh, ...options.submitters].find((name) => !isId(name));
  if (bad !== undefined) throw new Error(`expected a name of 1 to 64 characters of A-Z a-z 0-9 _ -, got ${bad}`);
  const subjects = subjectsOf(mesh);
  const identities = await identitiesOf(options.agents);
  const wanted = [
    { name: 'admin', permissions: adminPermissions(subjects, CLI) },
    { name: 'operator', permissions: operatorPermissions(subjects, CLI) },
    ...options.submitters.map((name) => ({ name, permissions: submitterPermissions(subjects, name) })),
    ...identities.map((agent) => ({ name: agent.agentId, permissions: agentPermissions(subjects, agent) })),
  ];
  const names = [...wanted.map(({ name }) => name), 'system'];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`expected names that differ, got ${twice} twice`);
  const unknown = rotate.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`--rotate: expected one of ${names.join(', ')}, got ${unknown}`);
  const seeds = join(out, 'seeds');
  const key = (name: string): string => keyOf(seeds, name, rotate.includes(name));
  const users = wanted.map(({ name, permissions }) => ({ name, publicKey: key(name), permissions }));
  mkdirSync(out, { recursive: true });
  const file = join(out, 'accounts.conf');
  writeFileSync(file, accountsText(mesh, users, { name: 'system', publicKey: key('system') }));
  // One file for all processes of a role: each takes the first of its identities that is free.
  for (const [role, agents] of Map.groupBy(identities, (agent) => agent.role)) {
    const lines = agents.map(({ agentId }) => `${agentId} ${seedOf(seeds, agentId)}\n`);
    writeSecret(join(out, 'identities', role), lines.join(''));
  }
  const capabilities = [...new Set(identities.flatMap((agent) => agent.capabilities))].toSorted();
  return { file, users: names, capabilities };
}
