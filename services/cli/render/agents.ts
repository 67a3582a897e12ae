/** The agents that are alive, as a table. */
import type { Presence } from '../../../shared/protocol/agent.ts';
import type { Screen } from './screen.ts';
import { table } from './table.ts';
import { duration } from './text.ts';

/** `now`: milliseconds since the epoch. */
export function agentTable(screen: Screen, agents: readonly Presence[], now: number): string {
  return table(
    screen,
    [
      { head: 'agent', cell: (agent) => agent.agentId },
      { head: 'role', cell: (agent) => agent.role },
      { head: 'capabilities', cell: (agent) => agent.capabilities.join(', ') },
      { head: 'busy', cell: (agent) => `${agent.load.running}/${agent.load.slots}`, right: true },
      {
        head: 'weight',
        cell: (agent) => (agent.weight === undefined ? '' : String(agent.weight)),
        right: true,
        spare: 2,
      },
      { head: 'up', cell: (agent) => duration(now - Date.parse(agent.startedAt)), right: true, spare: 3 },
      { head: 'version', cell: (agent) => agent.version, spare: 1 },
    ],
    agents,
  );
}
