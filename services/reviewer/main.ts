import { start } from '../../shared/runtime/start.ts';

await start(async () => {
  const [{ criterionFrom }, { manifestWith }] = await Promise.all([import('./criteria.ts'), import('./handler.ts')]);
  const configured = criterionFrom(process.env['REVIEW_CRITERION']);
  return configured.ok ? { manifest: manifestWith(configured.criterion) } : { problem: configured.message };
});
