import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { auditReport } from '../../deploy/supply/audit/report.ts';

const finding = { name: 'a', severity: 'high', range: '<2.0.0', isDirect: true, fixAvailable: true };

test('an advisory for a locked package fails, and is told in one line', () => {
  const report = auditReport(
    JSON.stringify({ vulnerabilities: { a: finding, b: { ...finding, isDirect: false, fixAvailable: false } } }),
  );
  expect(report).toEqual({
    exitCode: 1,
    lines: [
      'high: a <2.0.0 (ours; npm audit fix)',
      'high: b <2.0.0 (of a dependency; no fix yet)',
      '2 packages with advisories',
    ],
  });
});

test('no advisory passes', () => {
  expect(auditReport('{"vulnerabilities":{}}')).toEqual({
    exitCode: 0,
    lines: ['No advisory for any locked package.'],
  });
});

test.each([
  ['{"message":"405 Method Not Allowed - POST x","method":"POST"}', '405 Method Not Allowed - POST x'],
  ['<html>not here</html>\nmore', '<html>not here</html>'],
  ['', 'no answer'],
])('a registry that has no advisories is said to have none, and is no finding: %s', (text, why) => {
  expect(auditReport(text)).toEqual({
    exitCode: 0,
    lines: [`Nothing was audited: the registry does not answer for advisories (${why}).`],
  });
});

test('updates look where versions are pinned', () => {
  const renovate: unknown = JSON.parse(readFileSync(new URL('../../renovate.json', import.meta.url), 'utf8'));
  const [compose, values] = ['docker-compose', 'helm-values'].map((manager) => {
    const text = JSON.stringify(renovate);
    const pattern = new RegExp(`"${manager}":\\{"managerFilePatterns":\\["/(.*?)/"\\]`).exec(text)?.[1];
    return new RegExp(JSON.parse(`"${pattern}"`));
  });
  for (const file of ['deploy/compose.yaml', 'deploy/compose.laptop.yaml']) expect(file).toMatch(compose ?? /^$/);
  expect('deploy/kubernetes/nats-values.yaml').toMatch(values ?? /^$/);
});
