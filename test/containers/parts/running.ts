/** What runs, and what it may. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root } from '../../support/stack.ts';
import { agents, stack } from '../site.ts';

describe('what runs', () => {
  test('is not root, cannot write to its root, and has no capability', async () => {
    for (const name of agents()) {
      const { Config, HostConfig } = stack.inspect(name);
      expect(Config.User).toBe('65532:65532');
      expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'], CapAdd: null, Privileged: false });
    }
    // What the kernel says of the process itself, and what happens to one that tries.
    const probe = `const fs = require('node:fs');
      const status = fs.readFileSync('/proc/1/status', 'utf8');
      const field = (name) => new RegExp('^' + name + ':\\\\s*(\\\\S+)', 'm').exec(status)[1];
      const tries = ['/x', '/app/x', '/tmp/x', '/etc/x'].map((path) => { try { fs.writeFileSync(path, ''); return path; } catch (e) { return e.code; } });
      console.log(JSON.stringify({ uid: field('Uid'), eff: field('CapEff'), bound: field('CapBnd'), nnp: field('NoNewPrivs'), seccomp: field('Seccomp'), tries }));`;
    const none = '0000000000000000';
    for (const name of [...agents(), 'model-1']) {
      const { exitCode, output } = await stack.exec(name, ['node', '-e', probe]);
      expect(exitCode, output).toBe(0);
      expect(JSON.parse(output)).toEqual({
        uid: '65532',
        eff: none,
        bound: none,
        nnp: '1',
        seccomp: '2',
        tries: ['EROFS', 'EROFS', 'EROFS', 'EROFS'],
      });
    }
  });

  test('has limits, rotated logs and a way back after a crash, third parties included', () => {
    for (const name of stack.names()) {
      const { HostConfig } = stack.inspect(name);
      expect(HostConfig.ReadonlyRootfs, name).toBe(true);
      expect(HostConfig.CapDrop, name).toEqual(['ALL']);
      expect(HostConfig.SecurityOpt, name).toEqual(['no-new-privileges:true']);
      expect(HostConfig.RestartPolicy.Name, name).toBe('unless-stopped');
      expect(HostConfig.LogConfig, name).toEqual({ Type: 'json-file', Config: { 'max-file': '3', 'max-size': '10m' } });
      for (const limit of ['Memory', 'NanoCpus', 'PidsLimit'] as const)
        expect(HostConfig[limit], name).toBeGreaterThan(0);
    }
  });

  test('lets in nobody without credentials, and nobody without encryption', async () => {
    await expect(stack.connectAs('operator', 'cli').then((known) => known.close())).resolves.toBeUndefined();
    const anonymous = spawnSync(process.execPath, [join(root, 'services/cli/main.ts'), 'goals'], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], NATS_URL: stack.urls[0], NATS_CA: join(stack.secretsFolder, 'ca.crt') },
    });
    expect(anonymous.status).toBe(69);
    expect(anonymous.stderr).toMatch(/refuses these credentials/);
    const distrustful = spawnSync(process.execPath, [join(root, 'services/cli/main.ts'), 'goals'], {
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'],
        NATS_URL: stack.urls[0],
        NATS_NKEY_SEED_FILE: stack.seedFile('operator'),
      },
    });
    expect(distrustful.status).toBe(69);
    expect(distrustful.stderr).toMatch(/certificate/);
  });
});
