/** Writes what a run found into docs/: text between two markers of docs/consensus.md, and the charts beside it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Chart, chartSvg } from '../chart.ts';

const PAGE = fileURLToPath(new URL('../../../docs/consensus.md', import.meta.url));
const CHARTS = fileURLToPath(new URL('../../../docs/consensus/', import.meta.url));

/** `page` with another text between `<!-- name:begin -->` and `<!-- name:end -->`; undefined when it has no such markers. */
export function withBlock(page: string, name: string, text: string): string | undefined {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) return undefined;
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
}

/** False: the page has no place of that name. */
export function writeBlock(name: string, text: string): boolean {
  const page = withBlock(readFileSync(PAGE, 'utf8'), name, text);
  if (page !== undefined) writeFileSync(PAGE, page);
  return page !== undefined;
}

export function writeChart(name: string, chart: Chart): void {
  mkdirSync(CHARTS, { recursive: true });
  writeFileSync(`${CHARTS}${name}.svg`, chartSvg(chart));
}
