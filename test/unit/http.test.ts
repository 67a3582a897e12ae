import { connect } from 'node:net';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HttpSurface, serveHttp } from '../../shared/runtime/http.ts';

describe("an agent's http surface", () => {
  let surface: HttpSurface;
  let missing: string[] = [];
  const get = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${surface.port}${path}`, init);

  beforeEach(async () => {
    missing = [];
    surface = await serveHttp({ host: '127.0.0.1', port: 0, registry: new Registry(), unready: () => missing });
  });
  afterEach(() => surface.close());

  it('is alive, ready or not', async () => {
    missing = ['broker'];
    const response = await get('/healthz');
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
  });

  it('says what is not ready', async () => {
    missing = ['broker', 'consumers'];
    const response = await get('/readyz');
    expect([response.status, await response.json()]).toEqual([503, { status: 'not ready', unready: missing }]);
    missing = [];
    const later = await get('/readyz?verbose=1');
    expect([later.status, await later.json()]).toEqual([200, { status: 'ready', unready: [] }]);
  });

  it('serves metrics as Prometheus reads them', async () => {
    const response = await get('/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/);
  });

  it('knows no other path, and no other method', async () => {
    for (const path of ['/', '/metrics/', '/constructor', '/__proto__']) expect((await get(path)).status).toBe(404);
    const posted = await get('/metrics', { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('says why it cannot listen', async () => {
    const { port } = surface;
    await expect(serveHttp({ host: '127.0.0.1', port, registry: new Registry(), unready: () => [] })).rejects.toThrow(
      /EADDRINUSE/,
    );
  });

  it('ends although a connection is open', async () => {
    const socket = connect(surface.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await surface.close();
    await closed;
    expect(socket.destroyed).toBe(true);
  });
});
