/**
 * Tables that fit their terminal: first prose is cut, then the columns that can be spared go, then the others give way, longest first; where even
 * that is not enough, each row becomes a block of lines.
 */
import Table from 'cli-table3';
import type { Screen } from './screen.ts';
import { clip, safeLine, widthOf } from './text.ts';

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => string;
  /** Numbers stand on the right. */
  readonly right?: boolean;
  /** Words that say enough when they are cut: they give way before any other column does. */
  readonly prose?: boolean;
  /** Columns with a number can be left out on a narrow terminal, the lowest number first. */
  readonly spare?: number;
  /** Colours the cell, after it was made safe and cut. */
  readonly paint?: (row: Row, text: string) => string;
}

const GAP = 2;
/** A column is never cut to less than this. */
const NARROWEST = 6;
/** Without a terminal there is no width to fit, but one cell shall not be a page. */
const CELL_MAX = 160;
/** What is left of prose before another column is left out or cut. */
const PROSE_MIN = 24;
const ROWS_AT_ONCE = 100;

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Lines without a trailing line feed. A column of which every cell is empty is left out. */
export function table<Row>(screen: Screen, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const written = columns.map((column) => rows.map((row) => clip(safeLine(column.cell(row)), CELL_MAX)));
  const filled = columns.flatMap((column, index) => {
    const cells = written[index] ?? [];
    if (cells.every((cell) => cell === '')) return [];
    return [{ column, cells, width: Math.max(widthOf(column.head), ...cells.map(widthOf)) }];
  });
  const used = spared(screen, filled);
  const widths = shrink(used, roomFor(screen, used));
  if (widths === undefined) return blocks(screen, filled, rows);
  const head = used.map(({ column }, index) => {
    const width = widths[index] ?? 0;
    return aligned(screen.paint('heading', clip(column.head, width)), column.right, width);
  });
  const lines = rows.map((row, at) =>
    used.map(({ column, cells }, index) => {
      const width = widths[index] ?? 0;
      const text = clip(cells[at] ?? '', width);
      return aligned(column.paint?.(row, text) ?? text, column.right, width);
    }),
  );
  const parts: string[] = [];
  // The library's time grows with the square of the rows; without borders, parts of a table put together are the table.
  for (let start = 0; start <= lines.length; start += ROWS_AT_ONCE) {
    const drawn = new Table({
      chars: NO_BORDERS,
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
      colWidths: widths.map((width, index) => (index === widths.length - 1 ? width : width + GAP)),
    });
    drawn.push(...(start === 0 ? [head] : []), ...lines.slice(start, start + ROWS_AT_ONCE));
    if (drawn.length > 0) parts.push(drawn.toString());
  }
  return trimmed(parts.join('\n'));
}

function aligned(text: string, right: boolean | undefined, width: number): string {
  return right === true ? ' '.repeat(Math.max(0, width - widthOf(text))) + text : text;
}

/** Columns that a line has for the cells of these columns. */
function roomFor(screen: Screen, used: readonly unknown[]): number {
  return screen.width - GAP * (used.length - 1);
}

function spared<Row>(screen: Screen, filled: readonly Written<Row>[]): readonly Written<Row>[] {
  let used = filled;
  while (used.reduce((sum, one) => sum + leastOf(one), 0) > roomFor(screen, used)) {
    const ranks = used.flatMap(({ column }) => (column.spare === undefined ? [] : [column.spare]));
    if (ranks.length === 0) return used;
    const lowest = Math.min(...ranks);
    used = used.filter(({ column }) => column.spare !== lowest);
  }
  return used;
}

function leastOf<Row>({ column, width }: Written<Row>): number {
  return column.prose === true ? Math.min(width, PROSE_MIN) : width;
}

/** Takes from prose, then from the widest columns first; undefined when the narrowest widths do not fit either. */
function shrink<Row>(used: readonly Written<Row>[], room: number): readonly number[] | undefined {
  const result = used.map(({ width }) => width);
  let excess = result.reduce((sum, width) => sum + width, 0) - room;
  for (const [index, one] of used.entries()) {
    const given = Math.max(0, Math.min(excess, one.width - leastOf(one)));
    result[index] = one.width - given;
    excess -= given;
  }
  while (excess > 0) {
    const widest = result.indexOf(Math.max(...result));
    const width = result[widest] ?? 0;
    if (width <= NARROWEST) return undefined;
    result[widest] = width - 1;
    excess -= 1;
  }
  return result;
}

interface Written<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

function blocks<Row>(screen: Screen, used: readonly Written<Row>[], rows: readonly Row[]): string {
  return rows
    .map((row, at) =>
      used
        .filter(({ cells }) => (cells[at] ?? '') !== '')
        .map(({ column, cells }) => {
          const head = clip(`${column.head}: `, screen.width);
          const text = clip(cells[at] ?? '', Math.max(1, screen.width - widthOf(head)));
          return `${screen.paint('heading', head)}${column.paint?.(row, text) ?? text}`;
        })
        .join('\n'),
    )
    .join('\n\n');
}

function trimmed(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
