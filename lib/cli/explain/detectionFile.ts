import { readTextFile } from '../../data/readTextFile.js';
import { KfdError } from '../../errors.js';
import { REGION_NAMES } from '../../explain/sentences/regionNames.js';
import type { RegionStatistics } from '../../face/regions.js';
import { createDetection, type Detection, type FaceDetection } from '../../kfd/detection.js';

/**
 * Reads a saved `kfd.detection/1`. The file comes from outside, and what it says goes into sentences and into a language
 * model's prompt: only numbers in their range and names that the detector knows pass.
 */

type Fields = Readonly<Record<string, unknown>>;

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

class DetectionFile {
  constructor(private readonly file: string) {}

  parse(text: string): Detection {
    let content: unknown;
    try {
      content = JSON.parse(text);
    } catch (cause) {
      const what = `the output of \`detect --json\`, received no JSON: ${(cause as Error).message}`;
      return this.refuse('document', what);
    }
    const document = this.fields('document', content);
    if (document['schema'] !== 'kfd.detection/1')
      return this.refuse('schema', `"kfd.detection/1", received ${shown(document['schema'])}`);
    const faces = this.list('faces', document['faces']).map((face, index) => this.face(index, face));
    const input = this.fields('input', document['input']);
    const model = this.fields('model', document['model']);
    const modelText = (name: string): string => this.text(`model.${name}`, model[name]);
    return createDetection({
      input: {
        path: input['path'] === null ? null : this.text('input.path', input['path']),
        width: typeof input['width'] === 'number' ? input['width'] : null,
        height: typeof input['height'] === 'number' ? input['height'] : null,
      },
      model: {
        name: modelText('name'),
        sha256: this.digest(model['sha256']),
        device: modelText('device'),
        precision: modelText('precision'),
        maturity: this.oneOf('model.maturity', model['maturity'], [
          'demonstration',
          'research',
          'recommended',
          'unknown',
        ]),
      },
      faces,
    });
  }

  private face(index: number, value: unknown): FaceDetection {
    const at = `faces[${index}]`;
    const face = this.fields(at, value);
    const score = this.share(`${at}.score`, face['score']);
    const threshold = this.share(`${at}.threshold`, face['threshold']);
    const verdict = score >= threshold ? 'fake' : 'real';
    if (face['verdict'] !== verdict) {
      const said = shown(face['verdict']);
      this.refuse(
        `${at}.verdict`,
        `"${verdict}" for score ${score} and threshold ${threshold}, received ${said}`,
      );
    }
    const [x = 0, y = 0, width = 0, height = 0] = this.list(`${at}.box`, face['box']).map(Number);
    return {
      box: [x, y, width, height],
      confidence: typeof face['confidence'] === 'number' ? face['confidence'] : null,
      keypoints: [],
      score,
      verdict,
      threshold,
      regions: this.list(`${at}.regions`, face['regions']).map((each) => this.region(`${at}.regions`, each)),
      namedRegions: this.list(`${at}.namedRegions`, face['namedRegions']).map((name) =>
        this.oneOf(`${at}.namedRegions`, name, REGION_NAMES),
      ),
      extent: face['extent'] === null ? null : this.share(`${at}.extent`, face['extent']),
    };
  }

  private region(at: string, value: unknown): RegionStatistics {
    const region = this.fields(at, value);
    return {
      name: this.oneOf(`${at}.name`, region['name'], REGION_NAMES),
      score: this.share(`${at}.score`, region['score']),
      share: this.share(`${at}.share`, region['share']),
    };
  }

  private fields(at: string, value: unknown): Fields {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
    return this.refuse(at, `an object, received ${Array.isArray(value) ? 'a list' : typeof value}`);
  }

  private list(at: string, value: unknown): readonly unknown[] {
    return Array.isArray(value) ? value : this.refuse(at, `a list, received ${typeof value}`);
  }

  private text(at: string, value: unknown): string {
    return typeof value === 'string' ? value : this.refuse(at, `a text, received ${typeof value}`);
  }

  private digest(value: unknown): string {
    const text = this.text('model.sha256', value);
    return /^[0-9a-f]{64}$/.test(text) ? text : this.refuse('model.sha256', '64 hexadecimal digits');
  }

  private share(at: string, value: unknown): number {
    if (typeof value === 'number' && value >= 0 && value <= 1) return value;
    return this.refuse(at, `a number from 0 to 1, received ${shown(value)}`);
  }

  private oneOf<Name extends string>(at: string, value: unknown, allowed: readonly Name[]): Name {
    const found = allowed.find((name) => name === value);
    return found ?? this.refuse(at, `one of ${allowed.join(', ')}, received ${shown(value)}`);
  }

  private refuse(at: string, expected: string): never {
    throw new KfdError('ERR_KFD_INVALID_ARGUMENT', `${this.file}: ${at}: expected ${expected}.`, {
      hint: 'Give what `kfd-native detect IMAGE --json` of this version printed, for one image.',
    });
  }
}

/**
 * @returns the detection, without pictures and maps, which are not part of the JSON
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ; ERR_KFD_INVALID_ARGUMENT naming the field
 */
export async function readDetectionFile(file: string): Promise<Detection> {
  return new DetectionFile(file).parse(await readTextFile(file, 'detection'));
}
