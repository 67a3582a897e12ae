/** Voters as a process. Environment: `NATS_URL`, `MESH`, `SEED`, `VOTERS` (ids, comma separated). */
import { serveVoters } from './serve.ts';

await serveVoters(process.env);
process.stdout.write('voters.ready\n');
process.once('SIGTERM', () => process.exit(0));
