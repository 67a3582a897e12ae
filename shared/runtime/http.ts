/**
 * `/healthz`, `/readyz`, `/metrics` of an agent, on Node's own server: three fixed answers to GET need no router, and a framework's code would be a
 * twentieth of an idle agent's memory.
 */
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import type { HealthReport } from './health.ts';

// Not by `import`, which reads every property of the module: one loads Node's WebSocket, with it `fetch`, HTTP/2 and the streams of the web. No
// agent that asks no model uses them, and they are 3 MB of it when it is idle.
const { createServer } = process.getBuiltinModule('node:http');

export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  readonly registry: Registry;
  readonly health: () => HealthReport;
}

export interface HttpSurface {
  readonly port: number;
  /** Ends idle connections, too: a scraper that keeps its connection open must not hold up the agent's end. */
  close(): Promise<void>;
}

/** Listens before it resolves. Rejects with the system's error when the address or port cannot be had. */
export async function serveHttp({ host, port, registry, health }: HttpOptions): Promise<HttpSurface> {
  const routes = new Map<string, (response: ServerResponse) => Promise<void> | void>([
    ['/healthz', (response) => json(response, 200, { status: 'ok' })],
    [
      '/readyz',
      (response) => {
        const report = health();
        json(response, report.status === 'ready' ? 200 : 503, report);
      },
    ],
    [
      '/metrics',
      async (response) => {
        const text = await registry.metrics();
        response.writeHead(200, { 'content-type': registry.contentType }).end(text);
      },
    ],
  ]);
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const route = routes.get(path);
    if (route === undefined)
      return json(response, 404, { error: `expected one of ${[...routes.keys()].join(', ')}, got ${path}` });
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return json(response.setHeader('allow', 'GET, HEAD'), 405, {
        error: `expected GET, got ${request.method ?? ''}`,
      });
    void Promise.resolve(route(response)).catch((error: unknown) =>
      json(response, 500, { error: error instanceof Error ? error.message : String(error) }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  const address = server.address();
  return {
    port: isAddress(address) ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function isAddress(address: string | AddressInfo | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}
