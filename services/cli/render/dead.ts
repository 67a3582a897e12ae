/** Dead letters as a table. */
import type { StoredLetter } from '../../../shared/adapters/mesh-client-dead.ts';
import type { Screen } from './screen.ts';
import { table } from './table.ts';
import { duration, usd } from './text.ts';

export function deadTable(screen: Screen, letters: readonly StoredLetter[], now: number): string {
  return table(
    screen,
    [
      { head: 'id', cell: ({ sequence }) => String(sequence), right: true },
      { head: 'age', cell: ({ letter }) => duration(now - Date.parse(letter.at)), right: true },
      { head: 'origin', cell: ({ letter }) => letter.origin },
      { head: 'goal', cell: ({ letter }) => letter.goalId ?? '' },
      { head: 'task', cell: ({ letter }) => letter.taskId ?? '' },
      {
        head: 'attempts',
        cell: ({ letter }) => (letter.attempts === undefined ? '' : String(letter.attempts)),
        right: true,
        spare: 2,
      },
      {
        head: 'spent',
        cell: ({ letter }) => (letter.spent === undefined ? '' : usd(letter.spent.usd)),
        right: true,
        spare: 1,
      },
      { head: 'code', cell: ({ letter }) => letter.reason.code, paint: (_, text) => screen.paint('bad', text) },
      { head: 'message', cell: ({ letter }) => letter.reason.message, prose: true },
    ],
    letters,
  );
}
