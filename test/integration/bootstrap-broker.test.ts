import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterEach, expect, inject, test } from 'vitest';
import { startBroker, type TestBroker } from '../support/broker.ts';
import { waitUntil } from '../support/wait.ts';

const brokers: TestBroker[] = [];

afterEach(async () => {
  await Promise.all(brokers.splice(0).map((broker) => broker.stop()));
});

async function started(options?: Parameters<typeof startBroker>[0]): Promise<TestBroker> {
  const broker = await startBroker(options);
  brokers.push(broker);
  return broker;
}

async function storeOneMessage(url: string): Promise<void> {
  const connection = await connect({ servers: url });
  await (await jetstreamManager(connection)).streams.add({ name: 'kept', subjects: ['kept'] });
  await jetstream(connection).publish('kept', 'word');
  await connection.close();
}

async function storedMessages(url: string): Promise<number> {
  const connection = await connect({ servers: url });
  const { state } = await (await jetstreamManager(connection)).streams.info('kept');
  await connection.close();
  return state.messages;
}

test('the shared broker of the run serves JetStream with the limits the project counts on', async () => {
  const connection = await connect({ servers: inject('natsUrl') });
  const { limits } = await (await jetstreamManager(connection)).getAccountInfo();
  expect(connection.info?.max_payload).toBe(1024 * 1024);
  expect(limits.max_memory).toBe(-1);
  await connection.close();
});

test('a killed broker comes back on the same address with what it had stored', async () => {
  const broker = await started({ jetstream: 'sync_interval: always' });
  await storeOneMessage(broker.url);
  const { pid, url } = broker;

  await broker.kill('SIGKILL');
  await expect(connect({ servers: url, timeout: 2_000 })).rejects.toThrow();
  await broker.restart();

  expect(broker.url).toBe(url);
  expect(broker.pid).not.toBe(pid);
  expect(await storedMessages(url)).toBe(1);
});

test('a frozen broker answers nobody, and goes on when it thaws', async () => {
  const broker = await started();
  const connection = await connect({ servers: broker.url });
  await broker.kill('SIGSTOP');
  await expect(connection.request('$JS.API.INFO', '', { timeout: 200 })).rejects.toThrow();
  await broker.kill('SIGCONT');
  await connection.flush();
  await connection.close();
});

test('a running broker can be restarted, also a frozen one', async () => {
  const broker = await started();
  await broker.restart();
  await broker.kill('SIGSTOP');
  await broker.restart();
  await storeOneMessage(broker.url);
  expect(await storedMessages(broker.url)).toBe(1);
});

test('stop removes the store that was made for the broker and keeps one that was brought', async () => {
  const broker = await startBroker();
  expect(existsSync(broker.storeDir)).toBe(true);
  await broker.stop();
  expect(existsSync(broker.storeDir)).toBe(false);

  const storeDir = mkdtempSync(join(tmpdir(), 'conclave-kept-store-'));
  const other = await startBroker({ storeDir });
  await storeOneMessage(other.url);
  await other.stop();
  expect(readdirSync(storeDir)).not.toEqual([]);
  rmSync(storeDir, { recursive: true });
});

test('a configuration that the server refuses is reported in its own words', async () => {
  await expect(startBroker({ config: 'no_such_setting: 1' })).rejects.toThrow(/no_such_setting/);
});

test('a broker ends with the process that started it, however that process ends', async () => {
  const script = `
    import { startBroker } from ${JSON.stringify(new URL('../support/broker.ts', import.meta.url).href)};
    console.log('up ' + (await startBroker()).url);
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TEST_BROKER: 'local' },
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const url = await waitUntil('the broker is up', () => /up (\S+)/.exec(output)?.[1]);
  await (await connect({ servers: url })).close();

  child.kill('SIGKILL');

  await waitUntil('the broker is gone', async () => {
    try {
      await (await connect({ servers: url, reconnect: false, timeout: 2_000 })).close();
      return false;
    } catch {
      return true;
    }
  });
});
