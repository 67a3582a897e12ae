/**
 * Stand-ins for the pinned images, made from Debian's packages where no registry of images can be reached: a Debian system by debootstrap, with
 * this machine's Node, nats-server, or Debian's Prometheus in it. They carry the pinned names, so that nothing else has to know, and the label
 * `conclave.stand-in`, which says what is really inside. For trying and testing; what you ship should be built on the real ones.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { exists, run } from '../bootstrap/command.ts';
import { debianArchive, fetchWithApt } from '../bootstrap/fetch-with-apt.ts';
import { natsServerBinary } from '../bootstrap/find-nats-server.ts';
import { repositoryOf } from './pins.ts';

const BOOTSTRAP_MS_MAX = 300_000;
const BUILD_MS_MAX = 120_000;
/** The release of Debian that the pinned Node image is of. */
const suite = 'trixie';
const base = `conclave-stand-in/debian:${suite}`;
const trusted = '/etc/ssl/certs/ca-certificates.crt';

/** Fills a build context and returns the lines of its Dockerfile after FROM, and what the label says. */
type Recipe = (context: string) => { readonly lines: readonly string[]; readonly inside: string };

const recipes: Readonly<Record<string, Recipe>> = {
  node: (context) => {
    cpSync(process.execPath, join(context, 'node'));
    const npm = dirname(dirname(realpathSync(run('sh', ['-c', 'command -v npm'], { timeoutMs: 5_000 }).trim())));
    cpSync(npm, join(context, 'npm'), { recursive: true });
    // Whom this machine trusts: a registry behind a company's proxy is reached from within a build as well.
    writeFileSync(join(context, 'trusted.crt'), existsSync(trusted) ? readFileSync(trusted) : '');
    return {
      inside: `node ${process.version} on Debian ${suite}`,
      lines: [
        'COPY node /usr/local/bin/node',
        'COPY npm /usr/local/lib/node_modules/npm',
        `COPY trusted.crt ${trusted}`,
        'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm',
        `ENV NODE_EXTRA_CA_CERTS=${trusted}`,
        'CMD ["node"]',
      ],
    };
  },
  nats: (context) => {
    cpSync(natsServerBinary(), join(context, 'nats-server'), { dereference: true });
    return {
      inside: `${run(natsServerBinary(), ['--version'], { timeoutMs: 5_000 }).trim()} on Debian ${suite}`,
      lines: [
        'COPY nats-server /usr/local/bin/nats-server',
        'RUN ln -s /bin/busybox /usr/local/bin/wget',
        'CMD ["nats-server"]',
      ],
    };
  },
  'prom/prometheus': (context) => {
    const work = join(context, 'work');
    mkdirSync(work);
    const program = fetchWithApt(work, { package: 'prometheus', path: 'usr/bin/prometheus' });
    const version =
      /version (\S+)/.exec(run(program, ['--version'], { timeoutMs: 10_000 }))?.[1] ?? 'of unknown version';
    cpSync(program, join(context, 'prometheus'));
    rmSync(work, { recursive: true });
    return {
      inside: `Prometheus ${version} on Debian ${suite}`,
      lines: [
        'COPY prometheus /bin/prometheus',
        'RUN ln -s /bin/busybox /usr/local/bin/wget && mkdir -p /prometheus && chown 65534:65534 /prometheus',
        'USER 65534:65534',
        'WORKDIR /prometheus',
        'ENTRYPOINT ["/bin/prometheus"]',
      ],
    };
  },
};

/** Whether stand-ins can be made on this machine: Debian or a relative of it, as root. */
export function canMakeImages(): boolean {
  return process.getuid?.() === 0 && exists('apt-get') && existsSync('/etc/debian_version');
}

/**
 * Makes the stand-in of one pinned image. False when there is no recipe for it.
 *
 * @throws Error of one line.
 */
export function makeImage(image: string): boolean {
  const recipe = recipes[repositoryOf(image)];
  if (recipe === undefined) return false;
  makeBase();
  const context = mkdtempSync(join(tmpdir(), 'conclave-image-'));
  try {
    const { lines, inside } = recipe(context);
    writeFileSync(
      join(context, 'Dockerfile'),
      [`FROM ${base}`, ...lines, `LABEL conclave.stand-in="${inside}"`, ''].join('\n'),
    );
    run('docker', ['build', '--quiet', '--tag', image, context], { timeoutMs: BUILD_MS_MAX });
    process.stdout.write(`${image}: no registry has it for this machine, made here: ${inside}\n`);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
  return true;
}

function makeBase(): void {
  if (run('docker', ['images', '--quiet', base], { timeoutMs: 30_000 }).trim() !== '') return;
  const quiet = { timeoutMs: BOOTSTRAP_MS_MAX, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  if (!exists('debootstrap')) {
    run('apt-get', ['update', '-q'], quiet);
    run('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'debootstrap'], quiet);
  }
  const work = mkdtempSync(join(tmpdir(), 'conclave-debian-'));
  const system = join(work, 'system');
  process.stdout.write(`Making a Debian ${suite} system (half a minute, once) ...\n`);
  try {
    const packages = 'busybox,libatomic1,libstdc++6';
    run('debootstrap', ['--variant=minbase', `--include=${packages}`, suite, system, debianArchive().uri], quiet);
    for (const left of [
      'var/cache/apt',
      'var/lib/apt/lists',
      'var/log',
      'etc/apt/sources.list',
      'usr/share/doc',
      'usr/share/man',
    ]) {
      rmSync(join(system, left), { recursive: true, force: true });
    }
    run('sh', ['-c', 'tar -C "$1" -c . | docker import - "$2"', 'sh', system, base], { timeoutMs: BUILD_MS_MAX });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
