/** Every file that is made from code for who watches a mesh, by its path in the project. */
import { metricsPage } from './metrics-page.ts';

export function monitoringFiles(): ReadonlyMap<string, string> {
  return new Map([['docs/metrics.md', metricsPage()]]);
}
