/** The values of options: text from the command line to what it means, or what was expected instead. */
import { InvalidArgumentError } from 'commander';
import { isId } from '../../shared/protocol/ids.ts';

export function whole(minimum: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= minimum) return value;
    throw new InvalidArgumentError(`Expected a whole number of at least ${minimum}.`);
  };
}

export function everyWhole(text: string, before: readonly number[] | undefined): readonly number[] {
  return [...(before ?? []), whole(1)(text)];
}

export function amount(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Expected US dollars as a decimal number, as in 0.50.');
}

export function share(text: string): number {
  const value = amount(text);
  if (value <= 1) return value;
  throw new InvalidArgumentError('Expected a number from 0 to 1.');
}

export function list(text: string): readonly string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.every((item) => item !== '') && new Set(items).size === items.length) return items;
  throw new InvalidArgumentError('Expected different words separated by commas, as in approve,reject.');
}

export function listOf(choices: readonly string[]): (text: string) => readonly string[] {
  return (text) => {
    const items = text.split(',').map((item) => item.trim());
    if (items.every((item) => choices.includes(item))) return items;
    throw new InvalidArgumentError(`Expected some of ${choices.join(', ')}, separated by commas.`);
  };
}

/** Ids separated by commas, as in plan,research. */
export function ids(text: string): readonly string[] {
  const items = list(text);
  if (items.every(isId)) return items;
  throw new InvalidArgumentError('Expected names of 1 to 64 characters of A-Z a-z 0-9 _ -, separated by commas.');
}

export function oneOf(...choices: readonly string[]): (text: string) => string {
  return (text) => {
    if (choices.includes(text)) return text;
    throw new InvalidArgumentError(`Expected ${choices.join(' or ')}.`);
  };
}

/** `--metadata team=blue`, repeated: values stay text. */
export function metadata(
  pair: string,
  before: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const [key, value] = split(pair, 'Expected key=value, as in team=blue.');
  return Object.fromEntries([...Object.entries(before ?? {}), [key, value]]);
}

/** `--weights a=2,b=0.5`. */
export function weights(
  pairs: string,
  before: Readonly<Record<string, number>> | undefined,
): Readonly<Record<string, number>> {
  const expected = 'Expected agent=weight with weights of at least 0, as in reviewer-1=2,reviewer-2=0.5.';
  const entries = pairs.split(',').map((pair) => {
    const [agent, value] = split(pair, expected);
    if (!/^\d+(\.\d+)?$/.test(value)) throw new InvalidArgumentError(expected);
    return [agent, Number(value)] as const;
  });
  return Object.fromEntries([...Object.entries(before ?? {}), ...entries]);
}

function split(pair: string, expected: string): readonly [string, string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new InvalidArgumentError(expected);
  return [pair.slice(0, at).trim(), pair.slice(at + 1)];
}
