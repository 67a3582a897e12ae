/** What a renderer knows of the place it writes to. */
import { styleText } from 'node:util';
import type { GoalStatus } from '../../../shared/protocol/goal.ts';
import type { TaskStatus } from '../../../shared/protocol/task.ts';

const STYLES = { heading: 'bold', faint: 'dim', good: 'green', bad: 'red', busy: 'cyan', warn: 'yellow' } as const;
export type Style = keyof typeof STYLES;

export interface Screen {
  /** Columns; Infinity when the output is not a terminal, so that a file or a pipe gets whole lines. */
  readonly width: number;
  readonly paint: (style: Style, text: string) => string;
}

export function screenOf(width: number, colours: boolean): Screen {
  return {
    width,
    paint: (style, text) => (colours && text !== '' ? styleText(STYLES[style], text, { validateStream: false }) : text),
  };
}

const STATUS_STYLES: Readonly<Record<GoalStatus | TaskStatus, Style>> = {
  planning: 'busy',
  running: 'busy',
  pending: 'faint',
  ready: 'warn',
  in_progress: 'busy',
  completed: 'good',
  failed: 'bad',
  cancelled: 'warn',
  rejected: 'bad',
};

export function paintStatus(screen: Screen, status: GoalStatus | TaskStatus): string {
  return screen.paint(STATUS_STYLES[status], status);
}
