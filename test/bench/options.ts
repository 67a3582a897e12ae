/** The command line of the benchmark. */
import { parseArgs } from 'node:util';
import type { Sync } from './mesh.ts';

const ROWS = ['chain', 'load', 'fan', 'join', 'vote'] as const;
const USUAL = [...ROWS, 'agent', 'linear'] as const;
/** Overhead takes as long as all the others together: it is measured when it is asked for. */
const PARTS = [...USUAL, 'overhead'] as const;
export type RowName = (typeof ROWS)[number];
type Part = (typeof PARTS)[number];

export interface Options {
  readonly quick: boolean;
  readonly rows: readonly RowName[];
  readonly agent: boolean;
  readonly linear: boolean;
  readonly overhead: boolean;
  readonly syncs: readonly Sync[];
  readonly json: string | undefined;
}

export const USAGE = `usage: node test/bench/main.ts [--quick] [--only ${PARTS.join()}] [--sync default|always|both] [--json FILE]`;

/** The command line is wrong; one line that says what was expected. */
export class UsageError extends Error {}

export function readOptions(args: readonly string[]): Options {
  const { quick, only, sync, json } = parsed(args);
  const wanted: readonly Part[] = only === undefined ? USUAL : only.split(',').map(partOf);
  return {
    quick,
    rows: ROWS.filter((row) => wanted.includes(row)),
    agent: wanted.includes('agent'),
    linear: wanted.includes('linear'),
    overhead: wanted.includes('overhead'),
    syncs: syncsOf(sync),
    json,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        sync: { type: 'string', default: 'both' },
        json: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function partOf(text: string): Part {
  const part = PARTS.find((known) => known === text);
  if (part === undefined) throw new UsageError(`--only: expected some of ${PARTS.join()}, got ${JSON.stringify(text)}`);
  return part;
}

function syncsOf(text: string): readonly Sync[] {
  if (text === 'both') return ['default', 'always'];
  if (text === 'default' || text === 'always') return [text];
  throw new UsageError(`--sync: expected default, always or both, got ${JSON.stringify(text)}`);
}
