/** `/healthz`, `/readyz`, `/metrics` of an agent. */
import Fastify from 'fastify';
import type { Registry } from 'prom-client';

export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  readonly registry: Registry;
  /** What is not ready; empty when everything is. */
  readonly unready: () => readonly string[];
}

export async function serveHttp(options: HttpOptions): Promise<{ readonly port: number; close(): Promise<void> }> {
  const app = Fastify({ logger: false });
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const unready = options.unready();
    await reply
      .code(unready.length === 0 ? 200 : 503)
      .send({ status: unready.length === 0 ? 'ready' : 'not ready', unready });
  });
  app.get('/metrics', async (_request, reply) => {
    await reply.type(options.registry.contentType).send(await options.registry.metrics());
  });
  await app.listen({ host: options.host, port: options.port });
  const address = app.server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: () => app.close(),
  };
}
