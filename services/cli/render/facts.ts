/** What is known of one thing: a name and a value a line. */
import type { Screen } from './screen.ts';
import { clip } from './text.ts';

/** A value that is empty is left out. Values are safe for a terminal already. */
export function factLines(screen: Screen, facts: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length)) + 2;
  return facts
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${screen.paint('faint', name.padEnd(width))}${clip(value, screen.width - width)}`)
    .join('\n');
}
