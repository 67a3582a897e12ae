/** What Conclave has to reach on two cores with everything on them, and how near a figure is. */
import type { Sync } from './mesh.ts';

export type Better = 'lower' | 'higher';
export type Verdict = 'met' | 'within 2x' | 'not met';

export const TARGETS: Readonly<Record<Sync, Readonly<Record<string, number>>>> = {
  default: { 'chain-p50': 2.5, load: 9_000, fan: 16, join: 10_000, 'vote-p50': 1.5 },
  always: { 'chain-p50': 4, load: 6_000, fan: 20, join: 8_000, 'vote-p50': 1.5, 'vote-load': 4_000 },
};

/** Of Conclave's figure divided by the raw one, whatever the sync. */
export const RATIO_TARGETS: Readonly<Record<string, number>> = { 'vote-unstored': 2, 'vote-in-a-row': 2 };

export const READY_MS_MAX = 500;
export const IDLE_MB_MAX = 80;

export function verdict(value: number, target: number, better: Better): Verdict {
  const factor = better === 'lower' ? value / target : target / value;
  if (factor <= 1) return 'met';
  return factor <= 2 ? 'within 2x' : 'not met';
}
