import { pino } from 'pino';
import { createApp } from './app.ts';
import { ConfigError, loadConfig } from './config.ts';

async function main(): Promise<void> {
  const config = loadConfig(process.env);
  const log = pino({ name: 'model', level: config.logLevel });
  const app = createApp(config);
  const stop = async (signal: string) => {
    log.info({ event: 'process.stopping', signal });
    await app.close();
    log.info({ event: 'process.stopped' });
  };
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop(signal));

  const url = new URL(await app.listen({ host: config.host, port: config.port }));
  log.info({ event: 'http.listening', host: config.host, port: Number(url.port) });
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 78 : 1;
}
