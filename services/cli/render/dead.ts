/** Dead letters as a table. */
import type { StoredLetter } from '../../../shared/adapters/mesh-client-dead.ts';
import type { Screen } from './screen.ts';
import { table } from './table.ts';
import { moment, usd } from './text.ts';

export function deadTable(screen: Screen, letters: readonly StoredLetter[]): string {
  return table(
    screen,
    [
      { head: 'id', cell: ({ sequence }) => String(sequence), right: true },
      { head: 'at', cell: ({ letter }) => moment(letter.at) },
      { head: 'origin', cell: ({ letter }) => letter.origin },
      { head: 'goal', cell: ({ letter }) => letter.goalId ?? '' },
      { head: 'task', cell: ({ letter }) => letter.taskId ?? '' },
      {
        head: 'attempts',
        cell: ({ letter }) => (letter.attempts === undefined ? '' : String(letter.attempts)),
        right: true,
      },
      { head: 'spent', cell: ({ letter }) => (letter.spent === undefined ? '' : usd(letter.spent.usd)), right: true },
      { head: 'code', cell: ({ letter }) => letter.reason.code, paint: (_, text) => screen.paint('bad', text) },
      { head: 'message', cell: ({ letter }) => letter.reason.message },
    ],
    letters,
  );
}
