import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readConfig } from '../../shared/runtime/config.ts';
import { withSecretFiles } from '../../shared/runtime/secret-files.ts';

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-secret-'));
  file = join(folder, 'key');
  writeFileSync(file, 'from-the-file\n');
});

afterEach(() => rmSync(folder, { recursive: true }));

test('a secret is read from its file, without the newline that editors add', () => {
  expect(withSecretFiles({ OPENAI_API_KEY_FILE: file }).env['OPENAI_API_KEY']).toBe('from-the-file');
  expect(readConfig({ OPENAI_API_KEY_FILE: file }).OPENAI_API_KEY).toBe('from-the-file');
});

test('a value that is set goes before its file, an empty one does not', () => {
  const read = (value: string) => withSecretFiles({ OPENAI_API_KEY: value, OPENAI_API_KEY_FILE: file }).env;
  expect(read('from-the-value')['OPENAI_API_KEY']).toBe('from-the-value');
  expect(read('')['OPENAI_API_KEY']).toBe('from-the-file');
});

test('only secrets are read from files, and a file that is not there is named', () => {
  expect(withSecretFiles({ MESH_FILE: file }).env['MESH']).toBeUndefined();
  const absent = join(folder, 'absent');
  expect(() => readConfig({ OPENAI_API_KEY_FILE: absent })).toThrow(
    `OPENAI_API_KEY_FILE: expected the path of a readable file, got ${JSON.stringify(absent)}`,
  );
});

test('what a file holds is checked like a value, and never repeated', () => {
  expect(() => readConfig({ NATS_NKEY_SEED_FILE: file })).toThrow(/^NATS_NKEY_SEED: expected .*, got something else$/);
});
