/** The third-party images of this project. Each is named where it is used, with its version; nothing here names one again. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const users = ['Dockerfile', 'deploy/compose.yaml'];

/** Every image that the Dockerfile and the compose file start from, without those that the project builds. */
export function pinnedImages(): readonly string[] {
  const texts = users.map((path) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8'));
  return imagesIn(texts.join('\n'));
}

/** Images after `FROM` and `image:`, each once, but for stages of the same build and images of this project. */
export function imagesIn(text: string): readonly string[] {
  const stages = new Set([...text.matchAll(/^FROM \S+ AS (\S+)$/gim)].map(([, stage]) => stage));
  const named = [...text.matchAll(/^(?:FROM|\s+image:)\s+["']?([^\s"']+)/gm)].flatMap(([, image]) => image ?? []);
  const foreign = named.filter(
    (image) => !stages.has(image) && image !== 'scratch' && !/^(\$\{|conclave\b)/.test(image),
  );
  return [...new Set(foreign)];
}

/** `prom/prometheus:v3.5.3` -> `prom/prometheus`. */
export function repositoryOf(image: string): string {
  return image.replace(/:[^:/]*$/, '');
}
