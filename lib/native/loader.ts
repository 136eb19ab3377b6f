import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { KfdError } from '../errors.js';
import { environmentConfig, packageRoot, packageVersion } from './config.js';
import type { NativeAddon } from './types.js';

/** Where `kfd-native setup` puts the built addon, below the package's folder. */
export const ADDON_FILE = path.join('build', 'addon', 'Release', 'kfd_native.node');

const SETUP = 'npx kfd-native setup';

/** The addon that {@link loadAddon} takes: KFD_ADDON, else the package's own build. */
export function addonPath(): string {
  const chosen = environmentConfig().addon;
  return chosen === undefined ? path.join(packageRoot(), ADDON_FILE) : path.resolve(chosen);
}

/**
 * What usually cures a failed load, by the dynamic linker's own words. The first pattern that fits is taken; `$1` is
 * what the pattern caught.
 */
const SOLUTIONS: readonly { pattern: RegExp; hint: string }[] = [
  {
    pattern: /(lib(?:torch|c10|gomp)[\w.-]*\.so[\w.]*): cannot open shared object file/,
    hint: `$1 is not where the addon was built to find it: libtorch was moved or removed. Run \`${SETUP} --force\`.`,
  },
  {
    pattern: /(\S+\.so[\w.]*): cannot open shared object file/,
    hint: 'The system library $1 is missing: install the package that holds it, then try again.',
  },
  {
    pattern: /version [`'](GLIBC(?:XX)?_[\d.]+)' not found/,
    hint: `The addon needs $1, which this system's C library lacks (glibc 2.28 or newer is needed, and the addon must be built on this system or an older one). Run \`${SETUP} --force\` here.`,
  },
  {
    pattern: /undefined symbol: (\S+)/,
    hint: `The libtorch found at run time is not the one the addon was built with. Run \`${SETUP} --force\`, and check LD_LIBRARY_PATH.`,
  },
  {
    pattern: /invalid ELF header|wrong ELF class|Exec format error|file too short/i,
    hint: `The file is damaged or was built for another platform (this is ${process.platform} ${process.arch}). Run \`${SETUP} --force\`.`,
  },
  {
    pattern: /compiled against a different Node\.js version|NODE_MODULE_VERSION|did not self-register/,
    hint: `The file is not an addon for this Node (${process.version}). Run \`${SETUP} --force\`.`,
  },
];

/** musl has no build of libtorch, and its linker's messages do not say that this is the reason. */
function isMusl(): boolean {
  if (process.platform !== 'linux') return false;
  const { header } = process.report.getReport() as unknown as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime === undefined;
}

/** @internal the hint for a failed load; exported for the tests */
export function loadFailureHint(message: string, musl: boolean): string {
  if (musl) {
    return 'This system uses musl instead of glibc, for which no libtorch exists. Use a distribution with glibc 2.28 or newer.';
  }
  for (const { pattern, hint } of SOLUTIONS) {
    const match = pattern.exec(message);
    if (match !== null) return hint.replaceAll('$1', match[1] ?? '');
  }
  return `Run \`npx kfd-native doctor\` to see what is wrong, or \`${SETUP} --force\` to build the addon again.`;
}

const loaded = new Map<string, NativeAddon>();

/**
 * Loads the native addon, once a file.
 * @throws KfdError ERR_KFD_ADDON_MISSING (not built), ERR_KFD_ADDON_LOAD (built, but the dynamic linker refuses it, or
 *   it belongs to another version of the package)
 */
export function loadAddon(): NativeAddon {
  const file = addonPath();
  const known = loaded.get(file);
  if (known !== undefined) return known;
  if (!existsSync(file)) {
    throw new KfdError('ERR_KFD_ADDON_MISSING', `The native addon is not built: nothing at ${file}`, {
      hint: environmentConfig().addon === undefined ? `Run \`${SETUP}\`.` : 'Correct or remove KFD_ADDON.',
    });
  }
  let addon: NativeAddon;
  try {
    addon = createRequire(import.meta.url)(file) as NativeAddon;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new KfdError('ERR_KFD_ADDON_LOAD', `The native addon ${file} does not load: ${message}`, {
      cause: error,
      hint: loadFailureHint(message, isMusl()),
    });
  }
  const expected = packageVersion();
  if (addon.version !== expected) {
    throw new KfdError(
      'ERR_KFD_ADDON_LOAD',
      `Expected an addon of kfd-native ${expected} but ${file} was built from ${addon.version}`,
      { hint: `Run \`${SETUP} --force\`.` },
    );
  }
  loaded.set(file, addon);
  return addon;
}
