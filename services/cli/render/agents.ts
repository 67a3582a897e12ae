/** The agents that are alive, as a table. */
import type { Presence } from '../../../shared/protocol/agent.ts';
import type { Screen } from './screen.ts';
import { table } from './table.ts';
import { duration, usd } from './text.ts';

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
      { head: 'per task', cell: pricesOf, spare: 4 },
      { head: 'up', cell: (agent) => duration(now - Date.parse(agent.startedAt)), right: true, spare: 3 },
      { head: 'version', cell: (agent) => agent.version, spare: 1 },
    ],
    agents,
  );
}

/** What one task is expected to cost; of several capabilities each by name. Nothing for agents that use no model. */
function pricesOf({ capabilities, estimates = {} }: Presence): string {
  const prices = Object.entries(estimates).filter(([, price]) => price > 0);
  return prices.map(([name, price]) => (capabilities.length === 1 ? usd(price) : `${name} ${usd(price)}`)).join(', ');
}
