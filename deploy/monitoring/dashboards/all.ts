/** All dashboards, in the order in which somebody on call looks at them. */
import { agents } from './agents.ts';
import { consensus } from './consensus.ts';
import { cost } from './cost.ts';
import type { DashboardSpec } from './dashboard.ts';
import { goals } from './goals.ts';
import { overview } from './overview.ts';
import { resilience } from './resilience.ts';

export const dashboards: readonly DashboardSpec[] = [overview, goals, consensus, cost, resilience, agents];
