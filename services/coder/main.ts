import { runAgent } from '../../shared/runtime/agent.ts';
import { manifest } from './handler.ts';

await runAgent(manifest);
