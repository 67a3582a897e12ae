import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { Gauge, Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CheckName, type Health, healthOf } from '../../shared/runtime/health.ts';
import { type HttpSurface, serveHttp } from '../../shared/runtime/http.ts';

describe("an agent's http surface", () => {
  let surface: HttpSurface;
  let health: Health;
  const quiet = { changed: () => undefined };
  const checks = (): Partial<Record<CheckName, string>> => ({ broker: 'not connected yet', consumers: '' });
  const ask = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${surface.port}${path}`, init);

  let registry: Registry;
  beforeEach(async () => {
    health = healthOf(checks(), quiet);
    registry = new Registry();
    surface = await serveHttp({ host: '127.0.0.1', port: 0, registry, health: health.report });
  });
  afterEach(() => surface.close());

  it('is alive, ready or not', async () => {
    const response = await ask('/healthz');
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
  });

  it('says what is not ready, and why', async () => {
    const response = await ask('/readyz');
    expect([response.status, await response.json()]).toMatchObject([
      503,
      {
        status: 'not ready',
        unready: ['broker'],
        checks: [
          { check: 'broker', ok: false, reason: 'not connected yet' },
          { check: 'consumers', ok: true },
        ],
      },
    ]);
    health.pass('broker');
    const later = await ask('/readyz?verbose=1');
    expect([later.status, await later.json()]).toMatchObject([200, { status: 'ready', unready: [] }]);
  });

  it('serves metrics as Prometheus reads them', async () => {
    const response = await ask('/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
  });

  it('says why there are no metrics, and lives on', async () => {
    registry.registerMetric(
      new Gauge({
        name: 'broken',
        help: 'x',
        registers: [],
        collect: () => Promise.reject(new Error('cannot be read')),
      }),
    );
    const response = await ask('/metrics');
    expect([response.status, await response.json()]).toEqual([500, { error: 'cannot be read' }]);
    expect((await ask('/healthz')).status).toBe(200);
  });

  it('knows no other path, and no other method', async () => {
    for (const path of ['/', '/metrics/', '/constructor', '/__proto__']) expect((await ask(path)).status).toBe(404);
    const posted = await ask('/metrics', { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('says why it cannot listen', async () => {
    const { port } = surface;
    await expect(
      serveHttp({ host: '127.0.0.1', port, registry: new Registry(), health: health.report }),
    ).rejects.toThrow(/EADDRINUSE/);
  });

  it('ends although clients keep their connections, ask nothing, or stop half-way', async () => {
    const keeping = new Agent({ keepAlive: true });
    const options = { port: surface.port, path: '/healthz', agent: keeping };
    const response = await new Promise<IncomingMessage>((resolve) => get(options, resolve));
    await once(response.resume(), 'end');
    const sockets = [connect(surface.port, '127.0.0.1'), connect(surface.port, '127.0.0.1')];
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    sockets[0]?.write('GET /metrics HTTP/1.1\r\nHost: x\r\n');
    const closed = Promise.all(
      sockets.map((socket) => new Promise((resolve) => socket.on('error', resolve).once('close', resolve))),
    );
    await surface.close();
    await closed;
    expect(sockets.map((socket) => socket.destroyed)).toEqual([true, true]);
    keeping.destroy();
  });
});
