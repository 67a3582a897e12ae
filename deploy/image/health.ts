/** The image's health check, without a shell or curl: exits 0 when the service of this container says that it takes work. */
import { get } from 'node:http';

const ANSWER_MS = 4_000;

const { HTTP_PORT: port = '8080' } = process.env;
const request = get({ host: '127.0.0.1', port, path: '/readyz', timeout: ANSWER_MS }, (response) => {
  process.exitCode = response.statusCode === 200 ? 0 : 1;
  response.pipe(process.stdout);
});
request.on('timeout', () => request.destroy(new Error(`no answer within ${ANSWER_MS} ms`)));
request.on('error', (error) => {
  process.stdout.write(`${error.message}\n`);
  process.exitCode = 1;
});
