import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readInput, readTasks } from '../../../services/cli/input.ts';
import { fakeTerminal } from './fake-terminal.ts';

const folder = mkdtempSync(join(tmpdir(), 'conclave-cli-input-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const terminal = fakeTerminal();
const withStdin = (text: string) => fakeTerminal({ stdin: Buffer.from(text) });

describe('the input of a goal', () => {
  it('is the value of a .json file, whatever that is', async () => {
    expect(await readInput(terminal, file('a.json', '[1, {"b": null}]'))).toEqual([1, { b: null }]);
    expect(await readInput(terminal, file('B.JSON', '"text"'))).toBe('text');
  });

  it('is the text of any other file, also when that looks like JSON', async () => {
    expect(await readInput(terminal, file('a.txt', '{"a": 1}\n'))).toEqual({ text: '{"a": 1}\n' });
    expect(await readInput(terminal, file('LICENSE', 'words'))).toEqual({ text: 'words' });
    expect(await readInput(terminal, file('empty.md', ''))).toEqual({ text: '' });
  });

  it('is JSON from standard input only when it is an object or an array', async () => {
    expect(await readInput(withStdin(' {"a": 1}\n'), '-')).toEqual({ a: 1 });
    expect(await readInput(withStdin('[1]'), '-')).toEqual([1]);
    expect(await readInput(withStdin('42'), '-')).toEqual({ text: '42' });
    expect(await readInput(withStdin('{curly} words'), '-')).toEqual({ text: '{curly} words' });
  });
});

describe('the tasks of a goal', () => {
  it('are an array, or the array in an object', async () => {
    const tasks = [{ taskId: 'a', capability: 'echo' }];
    expect(await readTasks(terminal, file('t.json', JSON.stringify(tasks)))).toEqual(tasks);
    expect(await readTasks(terminal, file('t2.json', JSON.stringify({ tasks, note: 'x' })))).toEqual(tasks);
    expect(await readTasks(withStdin(JSON.stringify(tasks)), '-')).toEqual(tasks);
    await expect(readTasks(withStdin('nothing'), '-')).rejects.toThrow(
      /^standard input: expected one JSON value in UTF-8: Unexpected token/,
    );
  });
});
