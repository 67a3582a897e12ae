/** Where no secret may be. Last, so that all that was said and stored before is searched. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { imageName } from '../../../deploy/engine/build.ts';
import { readStream } from '../../support/foreign.ts';
import { foundInImage } from '../../support/image-scan.ts';
import { secretValues } from '../../support/stack.ts';
import { REPLACED, admin, agents, brokers, stack } from '../site.ts';

describe('secrets', () => {
  test('are in no layer, history or setting of the image; one that is put there is found', async () => {
    const secrets = secretValues(stack.secretsFolder);
    expect(secrets).toContain(stack.openAiKey);
    expect(secrets.length).toBeGreaterThan(8);
    expect(foundInImage(imageName, secrets)).toEqual([]);
    const folder = mkdtempSync(join(tmpdir(), 'conclave-leak-'));
    const leaky = 'conclave-test-leak:1';
    try {
      const [first = '', second = ''] = secrets;
      writeFileSync(join(folder, 'key'), first);
      // Deleted again: still in a layer. And one in the environment.
      const dockerfile = [
        'FROM node:24.21.0-trixie-slim',
        'COPY key /key',
        'RUN rm /key',
        `ENV KEY=${second}`,
        '',
      ].join('\n');
      writeFileSync(join(folder, 'Dockerfile'), dockerfile);
      const build = spawnSync('docker', ['build', '--quiet', '--tag', leaky, folder], { encoding: 'utf8' });
      expect(build.status, build.stderr).toBe(0);
      expect(foundInImage(leaky, secrets).toSorted()).toEqual([first, second].toSorted());
    } finally {
      spawnSync('docker', ['image', 'rm', '--force', leaky]);
      rmSync(folder, { recursive: true });
    }
  });

  test('are enough for what each container does: its broker denied it nothing', () => {
    for (const name of [...agents(), ...brokers]) {
      expect(
        stack
          .logs(name)
          .split('\n')
          .filter((line) => /violation/i.test(line) && !isOfReplaced(line)),
        name,
      ).toEqual([]);
    }
  });

  test('are in no environment of a container, no log, no metric and no stream', async () => {
    const secrets = secretValues(stack.secretsFolder);
    const leaks = (text: string): readonly string[] => secrets.filter((secret) => text.includes(secret));
    for (const name of stack.names()) {
      expect(leaks(JSON.stringify(stack.inspect(name))), name).toEqual([]);
      const log = stack.logs(name);
      expect(log.length, name).toBeGreaterThan(0);
      expect(leaks(log), name).toEqual([]);
    }
    for (const name of agents()) {
      const script = "fetch('http://127.0.0.1:8080/metrics').then((r) => r.text()).then((t) => console.log(t))";
      const { output } = await stack.exec(name, ['node', '-e', script]);
      expect(output).toContain('conclave_');
      expect(leaks(output), name).toEqual([]);
    }
    for (const stream of ['KV_mesh_dag', 'mesh_log', 'KV_mesh_agents']) {
      const messages = await readStream(admin.nc, stream, '>');
      expect(messages.length, stream).toBeGreaterThan(0);
      expect(leaks(messages.map(({ data }) => Buffer.from(data).toString('latin1')).join('\n')), stream).toEqual([]);
    }
  });
});

/** What the old key was told; what an agent may do with its own is another violation. */
function isOfReplaced(line: string): boolean {
  return line.includes('Authorization Violation') && [...REPLACED].some((id) => line.includes(`"agentId":"${id}"`));
}
