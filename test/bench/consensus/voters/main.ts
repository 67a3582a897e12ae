/**
 * Voters as a process: each on a connection of its own, with the voter that every agent has. It can be killed and started again at any moment.
 * Environment: `NATS_URL`, `MESH`, `SEED`, `VOTERS` (ids, comma separated), `PANELS` (JSON).
 */
import { enableCompileCache } from 'node:module';

// Before anything else is loaded: a voter that was killed should be back soon.
enableCompileCache();
const { serveVoters } = await import('./serve.ts');
await serveVoters(process.env);
process.stdout.write('voters.ready\n');
process.once('SIGTERM', () => process.exit(0));
