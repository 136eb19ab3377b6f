import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { packageRoot } from '../../lib/native/config.js';

const dist = (file: string) => pathToFileURL(path.join(packageRoot(), 'dist', file)).href;
const photograph = path.join(packageRoot(), 'test', 'fixtures', 'photos', 'astronaut.jpg');

/** A resolve hook that makes `import 'sharp'` fail, as on a platform that it has no binary for. */
const HOOK = `export async function resolve(name, context, next) {
  if (name === 'sharp') throw new Error('no sharp here');
  return next(name, context);
}`;

const PROGRAM = `
import { register } from 'node:module';
register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(HOOK)}));
const { decodeImage } = await import('${dist('image/decode.js')}');
const { encodePng } = await import('${dist('image/encode.js')}');
const { width, height, format } = await decodeImage(${JSON.stringify(photograph)});
const errors = [];
const webp = Buffer.from('RIFF....WEBPVP8 ', 'latin1');
for (const attempt of [() => decodeImage(webp), () => encodePng({ data: new Uint8Array(3), width: 1, height: 1 })]) {
  await attempt().catch((error) => errors.push(error.code));
}
console.log(JSON.stringify({ width, height, format, errors }));
`;

describe('image: where sharp does not load', () => {
  it('decodes with jimp, and says what it cannot do', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', PROGRAM]);
    assert.deepEqual(JSON.parse(stdout), {
      width: 512,
      height: 512,
      format: 'jpeg',
      errors: ['ERR_KFD_IMAGE_DECODE', 'ERR_KFD_TOOL_MISSING'],
    });
  });
});
