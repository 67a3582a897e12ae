/** Looks for strings in everything that whoever pulls an image gets: each layer, also what a later one deletes, the history and the settings. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const GZIP = Buffer.from([0x1f, 0x8b]);

/** Those of `needles` that are somewhere in the image. @throws Error when the image cannot be read. */
export function foundInImage(image: string, needles: readonly string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-scan-'));
  try {
    const saved = spawnSync('sh', ['-c', 'docker save "$1" | tar -x -C "$2"', 'sh', image, folder], {
      encoding: 'utf8',
    });
    if (saved.status !== 0) throw new Error(`${image} could not be saved: ${saved.stderr}`);
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    if (files.length < 3) throw new Error(`${image} was saved as ${files.length} files: that is no image`);
    const found = new Set<string>();
    for (const file of files) {
      const stored = readFileSync(join(file.parentPath, file.name));
      const bytes = stored.subarray(0, 2).equals(GZIP) ? gunzipSync(stored) : stored;
      for (const needle of needles) if (bytes.includes(needle)) found.add(needle);
    }
    return [...found];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
