/**
 * One program from the Debian archive, on a Debian machine, without installing anything and without root. Everything that
 * apt keeps (sources, lists, cache, status) goes to a folder of ours; apt itself verifies the archive's signature against
 * Debian's keyring and the package against the archive's checksums.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Archive, type AptSource, ownArchive, parseDeb822, parseOneLine } from './apt-source.ts';
import { run } from './command.ts';

/** The first suite that carries a nats-server new enough. It keeps its name when it becomes stable. */
const suite = 'forky';
const keyrings = ['debian-archive-keyring.gpg', 'debian-archive-keyring.pgp'];

export interface DebianProgram {
  readonly package: string;
  /** Where the package puts it, without the leading slash. */
  readonly path: string;
}

/**
 * Puts a program below `work` and returns its path.
 *
 * @param machineRoot where the machine's `etc` and `usr` are.
 * @throws Error with the first reason why not, in one line.
 */
export function fetchWithApt(work: string, program: DebianProgram, machineRoot = '/'): string {
  const apart = privateState(work, debianArchive(machineRoot));
  run('apt-get', ['update', '-q', ...apart], { timeoutMs: 180_000 });
  run('apt-get', ['download', program.package, '-q', ...apart], { timeoutMs: 120_000, cwd: work });
  return unpack(work, program);
}

/** The mirror that the machine itself uses; its host is the machine's business and stands nowhere in this project. */
export function debianArchive(machineRoot = '/'): Archive {
  const release = readFileSync(join(machineRoot, 'etc', 'os-release'), 'utf8');
  const value = (name: string): string => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(release)?.[1] ?? '';
  const own = value('ID') === 'debian' ? ownArchive(machineSources(machineRoot), value('VERSION_CODENAME')) : undefined;
  if (own === undefined) throw new Error('apt has no source of Debian main on this machine');
  const installed = keyrings.map((name) => join(machineRoot, 'usr', 'share', 'keyrings', name)).find(existsSync);
  const signedBy = own.signedBy ?? installed;
  return { uri: own.uri, ...(signedBy === undefined ? {} : { signedBy }) };
}

function machineSources(machineRoot: string): AptSource[] {
  const apt = join(machineRoot, 'etc', 'apt');
  const parts = join(apt, 'sources.list.d');
  const files = [join(apt, 'sources.list')];
  if (existsSync(parts)) files.push(...readdirSync(parts).map((name) => join(parts, name)));
  return files.filter(existsSync).flatMap((file) => {
    if (file.endsWith('.sources')) return parseDeb822(readFileSync(file, 'utf8'));
    return file.endsWith('.list') ? parseOneLine(readFileSync(file, 'utf8')) : [];
  });
}

/** Options that keep apt away from the machine's own lists, pins and cache, and make a lost archive an error. */
function privateState(work: string, archive: Archive): string[] {
  const sources = join(work, 'sources');
  for (const folder of [sources, join(work, 'lists', 'partial'), join(work, 'cache', 'archives', 'partial')]) {
    mkdirSync(folder, { recursive: true });
  }
  writeFileSync(join(work, 'status'), '');
  writeFileSync(
    join(sources, 'debian.sources'),
    [
      'Types: deb',
      `URIs: ${archive.uri}`,
      `Suites: ${suite}`,
      'Components: main',
      'Targets: Packages',
      `Architectures: ${run('dpkg', ['--print-architecture'], { timeoutMs: 10_000 }).trim()}`,
      ...(archive.signedBy === undefined ? [] : [`Signed-By: ${archive.signedBy}`]),
      '',
    ].join('\n'),
  );
  const settings = {
    'Dir::Etc::SourceList': '/dev/null',
    'Dir::Etc::SourceParts': sources,
    'Dir::Etc::Preferences': '/dev/null',
    'Dir::Etc::PreferencesParts': '/dev/null',
    'Dir::State::Lists': join(work, 'lists'),
    'Dir::State::Status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    'APT::Default-Release': '',
    // As root, apt would switch to a user who may not be able to reach the project's folder.
    'APT::Sandbox::User': 'root',
    'APT::Update::Error-Mode': 'any',
    'Acquire::AllowInsecureRepositories': 'false',
    'Acquire::Languages': 'none',
    'Acquire::PDiffs': 'false',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '10',
    'Acquire::https::Timeout': '10',
  };
  return Object.entries(settings).flatMap(([name, setting]) => ['-o', `${name}=${setting}`]);
}

function unpack(work: string, program: DebianProgram): string {
  const file = readdirSync(work).find((entry) => entry.startsWith(`${program.package}_`) && entry.endsWith('.deb'));
  if (file === undefined) throw new Error(`apt-get download left no ${program.package}_*.deb in ${work}`);
  const target = join(work, 'unpacked');
  run('dpkg', ['-x', join(work, file), target], { timeoutMs: 60_000 });
  return join(target, program.path);
}
