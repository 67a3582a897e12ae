/** What `npm audit --json` said, in words and as an exit code. */

export interface AuditReport {
  readonly lines: readonly string[];
  /** 0 also when nothing could be asked: a registry without advisories is no finding. */
  readonly exitCode: 0 | 1;
}

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** @param text what npm printed on standard output. */
export function auditReport(text: string): AuditReport {
  const answer = parsed(text);
  const found = answer?.['vulnerabilities'];
  if (!isFields(found)) {
    const why = typeof answer?.['message'] === 'string' ? answer['message'] : text.trim().split('\n')[0];
    return {
      lines: [`Nothing was audited: the registry does not answer for advisories (${why || 'no answer'}).`],
      exitCode: 0,
    };
  }
  const lines = Object.entries(found).map(([name, value]) => {
    const { severity = 'unknown', range = '*', isDirect, fixAvailable } = isFields(value) ? value : {};
    const where = isDirect === true ? 'ours' : 'of a dependency';
    const fix = fixAvailable === false ? 'no fix yet' : 'npm audit fix';
    return `${String(severity)}: ${name} ${String(range)} (${where}; ${fix})`;
  });
  return lines.length > 0
    ? { lines: [...lines, `${lines.length} packages with advisories`], exitCode: 1 }
    : { lines: ['No advisory for any locked package.'], exitCode: 0 };
}

function parsed(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isFields(value) ? value : undefined;
  } catch {
    // A registry's page instead of an answer.
    return undefined;
  }
}
