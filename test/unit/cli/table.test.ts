import { describe, expect, it } from 'vitest';
import { screenOf } from '../../../services/cli/render/screen.ts';
import { type Column, table } from '../../../services/cli/render/table.ts';
import { widthOf } from '../../../services/cli/render/text.ts';

interface Row {
  readonly name: string;
  readonly count: number;
  readonly note: string;
}

const rows: readonly Row[] = [
  { name: 'first', count: 1, note: 'a note of some length' },
  { name: 'the-second-one', count: 12_345, note: '数字 and more\nthan one line' },
];

const columns: readonly Column<Row>[] = [
  { head: 'name', cell: ({ name }) => name },
  { head: 'count', cell: ({ count }) => String(count), right: true },
  { head: 'note', cell: ({ note }) => note, spare: 1 },
];

const wide = screenOf(Number.POSITIVE_INFINITY, false);

describe('a table', () => {
  it('stands in columns, numbers on the right', () => {
    expect(table(wide, columns, rows).split('\n')).toEqual([
      'name            count  note',
      'first               1  a note of some length',
      'the-second-one  12345  数字 and more than one line',
    ]);
  });

  it('keeps within the width of its screen, whatever that is', () => {
    for (let width = 20; width <= 80; width += 1) {
      const lines = table(screenOf(width, false), columns, rows).split('\n');
      expect(lines.filter((line) => widthOf(line) > width)).toEqual([]);
      expect(lines.join('\n')).toContain('first');
    }
  });

  it('leaves a spare column out before it cuts the others', () => {
    const text = table(screenOf(30, false), columns, rows);
    expect(text).not.toContain('note');
    expect(text).toContain('the-second-one  12345');
  });

  it('cuts prose before it leaves a column out, and leaves it enough to be read', () => {
    const prose: readonly Column<Row>[] = [
      { head: 'words', cell: () => 'what was expected, what came, and what to do about it', prose: true },
      { head: 'code', cell: () => 'a_code_of_20_letters' },
      { head: 'count', cell: ({ count }) => String(count), right: true, spare: 1 },
    ];
    const row = rows.slice(0, 1);
    expect(table(screenOf(60, false), prose, row).split('\n')[1]).toBe(
      'what was expected, what came, …  a_code_of_20_letters      1',
    );
    expect(table(screenOf(50, false), prose, row).split('\n')[1]).toBe(
      'what was expected, what cam…  a_code_of_20_letters',
    );
  });

  it('becomes blocks of lines where columns do not fit', () => {
    const plain: readonly Column<Row>[] = [
      { head: 'name', cell: ({ name }) => name },
      { head: 'also', cell: ({ name }) => name },
      { head: 'more', cell: ({ name }) => name },
      { head: 'note', cell: ({ note }) => note },
    ];
    expect(table(screenOf(20, false), plain, rows.slice(0, 1)).split('\n')).toEqual([
      'name: first',
      'also: first',
      'more: first',
      'note: a note of som…',
    ]);
  });

  it('is one table however many rows it has', () => {
    for (const count of [0, 1, 99, 100, 101, 200, 2_345]) {
      const many = Array.from({ length: count }, (_, n) => ({ name: `n${n}`, count: n, note: 'x' }));
      const lines = table(wide, columns, many).split('\n');
      expect(lines).toHaveLength(count + 1);
      expect(
        new Set(lines.map((line) => line.indexOf(count === 0 ? 'name' : line.endsWith('note') ? 'note' : 'x'))).size,
      ).toBe(1);
    }
  });

  it('has no column that is empty in every row', () => {
    const text = table(wide, [...columns, { head: 'void', cell: () => '' }], rows);
    expect(text).not.toContain('void');
  });

  it('makes cells safe, and colours only what it was asked to', () => {
    const evil = table(wide, [{ head: 'name', cell: () => '\u001b[31mred' }], rows.slice(0, 1));
    expect(evil).toBe('name\n\\u001b[31mred');
    const coloured = screenOf(80, true);
    const good: Column<Row> = {
      head: 'name',
      cell: ({ name }) => name,
      paint: (_, text) => coloured.paint('good', text),
    };
    expect(table(coloured, [good, { head: 'x', cell: () => 'y' }], rows.slice(0, 1))).toContain(
      '\u001b[32mfirst\u001b[39m',
    );
    const plain: Column<Row> = { ...good, paint: (_, text) => screenOf(80, false).paint('good', text) };
    expect(table(screenOf(80, false), [plain], rows)).not.toContain('\u001b');
  });
});
