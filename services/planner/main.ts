import { start } from '../../shared/runtime/start.ts';

await start(() => import('./handler.ts'));
