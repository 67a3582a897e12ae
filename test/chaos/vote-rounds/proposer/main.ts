/** A proposer as a process, which ends or freezes itself at the moment it is told to. See `hold.ts` for its environment and what it prints. */
import { enableCompileCache } from 'node:module';

// Before anything else is loaded: one that was killed should be replaced soon.
enableCompileCache();
const { holdAll } = await import('./hold.ts');
await holdAll(process.env);
process.exit(0);
