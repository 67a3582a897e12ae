/** What a user would be told by `conclave log --verify`, for suites that break things: the log must have lost nothing (I9). */
import { openMesh } from '../../shared/adapters/mesh-client.ts';

/** One line for each finding; none when the log is complete. */
export async function missingFromLog(url: string, mesh: string): Promise<readonly string[]> {
  const client = await openMesh({ url, mesh });
  try {
    const found: string[] = [];
    const { revisions } = await client.verifyLog({
      onFinding: ({ code, message }) => void found.push(`${code}: ${message}`),
    });
    // A log without a record proves nothing.
    return revisions === 0 ? [...found, 'the log holds no revision at all'] : found;
  } finally {
    await client.close();
  }
}
