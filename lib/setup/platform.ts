import { KfdError } from '../errors.js';

/** The C library, or undefined on musl. */
export function glibcVersion(): string | undefined {
  const { header } = process.report.getReport() as unknown as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime;
}

/** @throws KfdError ERR_KFD_LIBTORCH_NOT_FOUND on a Linux without glibc */
export function requireGlibc(): void {
  if (process.platform === 'linux' && glibcVersion() === undefined) {
    throw new KfdError(
      'ERR_KFD_LIBTORCH_NOT_FOUND',
      'This system has no glibc (musl?), and libtorch needs it',
      {
        hint: 'Use a distribution with glibc 2.28 or newer, such as Debian 10 or Ubuntu 18.10 and later.',
      },
    );
  }
}

/** What the libraries of node-llama-cpp are linked against; libtorch is content with 2.28. */
const LLAMA_GLIBC = [2, 34] as const;

/** @throws KfdError ERR_KFD_LLAMA_MISSING where the explainer's libraries would not load */
export function requireLlamaGlibc(version = glibcVersion()): void {
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number);
  if (major > LLAMA_GLIBC[0] || (major === LLAMA_GLIBC[0] && minor >= LLAMA_GLIBC[1])) return;
  throw new KfdError(
    'ERR_KFD_LLAMA_MISSING',
    `The explainer's libraries need glibc ${LLAMA_GLIBC.join('.')} or newer, this system has ${version ?? 'none'}`,
    { hint: 'Set up without the explainer: --no-explainer. Detection and attention flow work as they are.' },
  );
}
