/** Writes what a run found into docs/: text between two markers of `docs/<name>.md`, and charts in a folder beside it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Chart, chartSvg } from './chart.ts';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));

export interface Page {
  /** False: the page has no place of that name. */
  writeBlock(name: string, text: string): boolean;
  writeChart(name: string, chart: Chart): void;
}

export function pageOf(name: string): Page {
  const page = `${DOCS}${name}.md`;
  return {
    writeBlock(block, text) {
      const written = withBlock(readFileSync(page, 'utf8'), block, text);
      if (written !== undefined) writeFileSync(page, written);
      return written !== undefined;
    },
    writeChart(chart, drawn) {
      mkdirSync(`${DOCS}${name}`, { recursive: true });
      writeFileSync(`${DOCS}${name}/${chart}.svg`, chartSvg(drawn));
    },
  };
}

/** `page` with another text between `<!-- name:begin -->` and `<!-- name:end -->`; undefined when it has no such markers. */
export function withBlock(page: string, name: string, text: string): string | undefined {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) return undefined;
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
}
