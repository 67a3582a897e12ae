import { runAgent } from '../../shared/runtime/agent.ts';
import { EXIT_CONFIG } from '../../shared/runtime/config.ts';
import { criterionFrom } from './criteria.ts';
import { manifestWith } from './handler.ts';

const configured = criterionFrom(process.env['REVIEW_CRITERION']);
if (configured.ok) {
  await runAgent(manifestWith(configured.criterion));
} else {
  process.stderr.write(`${configured.message}\n`);
  process.exitCode = EXIT_CONFIG;
}
