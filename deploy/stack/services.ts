/** Which services of the stack can be started on this machine. */
import { fieldsOf } from '../bootstrap/json.ts';
import { imageName } from '../engine/build.ts';
import { ensureImages } from '../engine/images.ts';
import type { Stack } from './stack.ts';

/** What a mesh can do without; everything else must be there. */
const optional = ['grafana', 'collector'];

export interface Services {
  readonly services: readonly string[];
  /** What is left out, one line each. */
  readonly without: readonly string[];
}

/** Has the images of all services made present. @throws Error naming an image that is needed and cannot be had. */
export function servicesToStart(stack: Stack): Services {
  const config: unknown = JSON.parse(stack.ask(['config', '--format', 'json']));
  const declared = Object.entries(fieldsOf(fieldsOf(config, 'compose config')['services'], 'services'));
  const images = new Map(declared.map(([service, value]) => [service, String(fieldsOf(value, service)['image'])]));
  const { missing } = ensureImages([...new Set(images.values())].filter((image) => image !== imageName));
  const without: string[] = [];
  const services = [...images.keys()].filter((service) => {
    const lost = missing.find(({ image }) => image === images.get(service));
    if (lost === undefined) return true;
    if (!optional.includes(service)) throw new Error(`${lost.image} is needed and cannot be had: ${lost.why}`);
    without.push(`Without ${service}: ${lost.image} cannot be had here (${lost.why})`);
    return false;
  });
  return { services, without };
}
