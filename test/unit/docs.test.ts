/** What the pages for people name is there: files, targets of make, metrics, commands and their options. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { runCommandLine } from '../../services/cli/program.ts';
import { fakeTerminal } from './cli/fake-terminal.ts';

const PAGES = ['README.md', 'ARCHITECTURE.md', ...globSync('docs/*.md')].map((path) => ({
  path,
  text: readFileSync(path, 'utf8'),
}));
/** Short names of files in prose are read from here. */
const ROOTS = ['.', 'docs', 'deploy', 'deploy/kubernetes', 'shared', 'shared/runtime'];

function every(pattern: RegExp): readonly { readonly path: string; readonly found: string }[] {
  return PAGES.flatMap(({ path, text }) => [...text.matchAll(pattern)].map(([, found = '']) => ({ path, found })));
}

it('files that are linked, or named by their path, are there', () => {
  const links = every(/\]\(([^)#:]+)(?:#[^)]*)?\)/g);
  expect(links.length).toBeGreaterThan(30);
  expect(links.filter(({ path, found }) => !existsSync(join(dirname(path), found)))).toEqual([]);
  const named = every(/`((?:[a-z0-9-]+\/)+[a-z0-9.-]+\.(?:ts|yml|yaml|json|txt))`/g);
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter(({ found }) => !ROOTS.some((root) => existsSync(join(root, found))))).toEqual([]);
});

it('targets of make are there', () => {
  const targets = new Set([...readFileSync('Makefile', 'utf8').matchAll(/^([a-z-]+):/gm)].map(([, name]) => name));
  const called = every(/(?:^|`|&& )make ([a-z-]+)/gm);
  expect(called.length).toBeGreaterThan(20);
  expect(called.filter(({ found }) => !targets.has(found))).toEqual([]);
});

it('metrics are there', () => {
  const { text } = PAGES.find(({ path }) => path === 'docs/metrics.md') ?? { text: '' };
  const listed = new Set([...text.matchAll(/^\| `(conclave_[a-z_]+)`/gm)].map(([, name]) => name));
  expect(listed.size).toBeGreaterThan(40);
  const named = every(/(?<!:)\b(conclave_[a-z_]+)(?!:)\b/g);
  expect(named.filter(({ found }) => !listed.has(found.replace(/_(?:bucket|sum|count)$/, '')))).toEqual([]);
});

it('commands take the options that they are shown with', async () => {
  const shown = PAGES.flatMap(({ path, text }) =>
    text
      .replaceAll('\\\n', ' ')
      .split('\n')
      .flatMap((line) => [
        ...(line.split('#')[0] ?? '').matchAll(/(?:^|[`;]) *conclave ((?:admin )?[a-z]+)((?: +(?!conclave)[^;`|]+)*)/g),
      ])
      .flatMap(([, command = '', rest = '']) =>
        [...rest.matchAll(/(?<= )--[a-z-]+/g)].map(([option]) => ({ path, command, option })),
      ),
  );
  expect(shown.length).toBeGreaterThan(20);
  for (const { path, command, option } of shown) {
    const terminal = fakeTerminal();
    await runCommandLine([...command.split(' '), '--help'], terminal);
    const offered = terminal.stdout.join('\n').split(/[\s,]+/);
    expect(offered, `${path}: conclave ${command} ${option}`).toContain(option);
  }
});
