/** Sees to it that the engine has the images that this project starts from: here already, pulled, or, with no registry in reach, made on the spot. */
import { run } from '../bootstrap/command.ts';
import { canMakeImages, makeImage } from './local-images.ts';
import { pinnedImages, repositoryOf } from './pins.ts';

const PULL_MS_MAX = 600_000;

export interface Images {
  /** Images that can neither be pulled nor made here, with the registry's last word. */
  readonly missing: readonly { readonly image: string; readonly why: string }[];
}

/** @param wanted those that are needed now; absent: all. */
export function ensureImages(wanted: readonly string[] = pinnedImages()): Images {
  const missing: { image: string; why: string }[] = [];
  let registryIsOut: string | undefined;
  for (const image of wanted) {
    if (hasImage(image)) continue;
    try {
      // One answer is enough: asking for each image would wait for each time-out.
      if (registryIsOut !== undefined) throw new Error(registryIsOut);
      process.stdout.write(`Pulling ${image} ...\n`);
      run('docker', ['pull', '--quiet', image], { timeoutMs: PULL_MS_MAX });
    } catch (error) {
      registryIsOut = error instanceof Error ? error.message : String(error);
      if (!canMakeImages()) missing.push({ image, why: registryIsOut });
      else if (!makeImage(image)) missing.push({ image, why: `${registryIsOut}; and it cannot be made here` });
    }
  }
  return { missing };
}

function hasImage(image: string): boolean {
  return run('docker', ['images', '--quiet', image], { timeoutMs: 30_000 }).trim() !== '';
}

/** Those of `wanted` whose repository is one of `repositories`. */
export function only(repositories: readonly string[], wanted: readonly string[] = pinnedImages()): readonly string[] {
  return wanted.filter((image) => repositories.includes(repositoryOf(image)));
}
