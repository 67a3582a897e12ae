/** The command line of the consensus benchmark. */
import { parseArgs } from 'node:util';

const PARTS = ['rows', 'hanoi', 'correlated'] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  readonly discs: number;
  readonly seed: string;
  /** Rounds of each row. */
  readonly rounds: number;
  readonly parts: readonly Part[];
  /** Write tables and charts into docs/, if nothing fails. */
  readonly docs: boolean;
}

export const DISCS_DEFAULT = 14;
const DISCS_MAX = 24;
const ROUNDS_DEFAULT = 1_200;
const ROUNDS_MAX = 1_000_000;

export const USAGE = `usage: node test/bench/consensus/main.ts [--discs 3..${DISCS_MAX}] [--seed TEXT] [--rounds N] [--only ${PARTS.join()}] [--docs]`;

/** The command line is wrong; one line that says what was expected. */
export class UsageError extends Error {}

export function readOptions(args: readonly string[]): Options {
  const { discs, seed, rounds, only, docs } = parsed(args);
  const size = wholeNumber('--discs', discs, 3, DISCS_MAX);
  return {
    discs: size,
    seed,
    rounds: wholeNumber('--rounds', rounds, 1, ROUNDS_MAX),
    // Another number of discs is asked for to see those discs move.
    parts: only === undefined ? (size === DISCS_DEFAULT ? PARTS : ['hanoi']) : only.split(',').map(partOf),
    docs,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        discs: { type: 'string', default: String(DISCS_DEFAULT) },
        seed: { type: 'string', default: '1' },
        rounds: { type: 'string', default: String(ROUNDS_DEFAULT) },
        only: { type: 'string' },
        docs: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new UsageError(`${name}: expected a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`);
  return value;
}

function partOf(text: string): Part {
  const part = PARTS.find((known) => known === text);
  if (part === undefined) throw new UsageError(`--only: expected some of ${PARTS.join()}, got ${JSON.stringify(text)}`);
  return part;
}
