/** `conclave log --verify`: is the log complete (I9)? Exit code 1 and one line per gap if not. */
import type { Finding } from '../../../shared/core/log-audit.ts';
import { type Context, idArgument, withMesh } from '../context.ts';
import { EXIT, type ExitCode } from '../failure.ts';
import { count, safeJson, safeLine } from '../render/text.ts';
import { unknownGoal } from '../waiting.ts';

/** A log that lost a day would drown what is said about the first gap. */
const SHOWN_MAX = 200;

export async function verifyLog(context: Context, args: readonly string[], json: boolean): Promise<ExitCode> {
  const { terminal } = context;
  const goalId = args[0] === undefined ? undefined : idArgument(args, 0, 'goalId');
  return withMesh(context, async (mesh) => {
    const { paint } = terminal.screen();
    let shown = 0;
    const onFinding = (finding: Finding): void => {
      shown += 1;
      if (json) terminal.out(safeJson(finding));
      else if (shown <= SHOWN_MAX) terminal.out(`${paint('bad', finding.code)}  ${safeLine(finding.message)}`);
    };
    const verified = await mesh.verifyLog({ ...(goalId === undefined ? {} : { goalId }), onFinding });
    if (goalId !== undefined && verified.keys === 0 && verified.findings === 0) throw unknownGoal(mesh, goalId);
    if (json) {
      terminal.out(safeJson(verified));
      return verified.findings === 0 ? EXIT.done : EXIT.failed;
    }
    if (shown > SHOWN_MAX) terminal.out(`(${shown - SHOWN_MAX} more)`);
    const { goals, keys, revisions, messages, compared, findings } = verified;
    const read = `${count(revisions, 'revision')} of ${count(keys, 'record')} (${count(goals, 'goal')}), ${count(messages, 'message')}`;
    const verdict = findings === 0 ? paint('good', 'nothing is missing') : paint('bad', count(findings, 'finding'));
    terminal.out(
      `log ${mesh.subjects.logStream}: ${read}; ${compared.toLocaleString('en-US')} compared with ${mesh.subjects.dagStream}: ${verdict}`,
    );
    return findings === 0 ? EXIT.done : EXIT.failed;
  });
}
