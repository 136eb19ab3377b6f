import { encodeJpeg, encodePng, reduceImage } from '../image/encode.js';
import type { RgbImage } from '../image/rgbImage.js';
import type { Detection, FaceDetection, FaceMap } from '../kfd/detection.js';
import type { Figure } from './html.js';
import { drawFaces, greyMap, maskInCrop, overlayOnCrop, overlayOnPhotograph } from './overlay.js';

/** Photographs are shown with at most this side; the maps have 224 pixels. */
const MAX_SIDE = 800;

/** A picture of the report: a PNG file of its own, and a figure of the page. */
export interface Picture {
  /** Ending of the file name; undefined: on the page only. */
  file: { suffix: string; png: Uint8Array } | undefined;
  figure: Figure;
}

type Description = Pick<Figure, 'alternative' | 'caption'>;

function dataUri(type: 'png' | 'jpeg', bytes: Uint8Array): string {
  return `data:image/${type};base64,${Buffer.from(bytes).toString('base64')}`;
}

/** Crops and maps stay lossless on the page; photographs become JPEG there. */
async function picture(
  image: RgbImage,
  suffix: string | undefined,
  description: Description,
  pageFormat: 'png' | 'jpeg' = 'png',
): Promise<Picture> {
  const png = suffix === undefined && pageFormat === 'jpeg' ? undefined : await encodePng(image);
  const source =
    pageFormat === 'jpeg' || png === undefined
      ? dataUri('jpeg', await encodeJpeg(image))
      : dataUri('png', png);
  return {
    file: suffix === undefined || png === undefined ? undefined : { suffix, png },
    figure: { source, width: image.width, height: image.height, ...description },
  };
}

/** The PNG data URI of a picture for the page. */
export async function inlinePng(image: RgbImage): Promise<string> {
  return dataUri('png', await encodePng(image));
}

/** The photograph with its faces marked and, where there are maps, with the maps carried back onto it. */
export async function photographPictures({ image, faces, maps }: Detection): Promise<Picture[]> {
  if (image === undefined) return [];
  const { image: shown, scale } = await reduceImage(image, MAX_SIDE);
  const count = faces.length === 1 ? '1 face' : `${faces.length} faces`;
  const marked = await picture(
    drawFaces(shown, faces, scale),
    'photo.png',
    {
      alternative: `The photograph with ${count} marked`,
      caption: `Photograph, ${count} marked with box and key points`,
    },
    'jpeg',
  );
  if (maps.length === 0) return [marked];
  const overlay = drawFaces(
    overlayOnPhotograph(shown, maps, scale),
    faces.map(({ box }) => ({ box, keypoints: [] })),
    scale,
  );
  const mapped = await picture(
    overlay,
    'photo-map.png',
    {
      alternative: 'The photograph with the localisation map painted over each face crop',
      caption: 'Localisation map carried back onto the photograph',
    },
    'jpeg',
  );
  return [marked, mapped];
}

function describeMap(face: FaceDetection, map: FaceMap): string {
  const mean = map.values.reduce((sum, value) => sum + value, 0) / map.values.length;
  const highest = face.regions[0];
  const region =
    highest === undefined ? '' : `; highest region ${highest.name} with ${highest.score.toFixed(2)}`;
  return `Localisation map over the crop: mean ${mean.toFixed(2)}${region}`;
}

/**
 * The crop that the network saw, the map over it, and the true mask where one is known.
 *
 * @param number the face's number in the picture, from 1
 * @param trueMask what was really forged, in pixels of the photograph
 */
export async function facePictures(
  face: FaceDetection,
  map: FaceMap,
  number: number,
  trueMask: RgbImage | undefined,
): Promise<Picture[]> {
  const pictures: Promise<Picture>[] = [];
  const prefix = `face${number}`;
  if (map.pixels !== undefined) {
    pictures.push(
      picture(map.pixels, `${prefix}-crop.png`, {
        alternative: `Face ${number} as the network saw it`,
        caption: `Face ${number}, aligned crop`,
      }),
      picture(overlayOnCrop(map.pixels, map), `${prefix}-map.png`, {
        alternative: describeMap(face, map),
        caption: 'Localisation map over the crop',
      }),
    );
  }
  pictures.push(
    picture(greyMap(map), `${prefix}-map-grey.png`, {
      alternative: 'The localisation map alone, black 0, white 1',
      caption: 'The map alone (black 0, white 1)',
    }),
  );
  if (trueMask !== undefined) {
    pictures.push(
      picture(maskInCrop(trueMask, map), `${prefix}-true-mask.png`, {
        alternative: 'The true mask: white where the picture was really changed',
        caption: 'True mask (white: really changed)',
      }),
    );
  }
  return Promise.all(pictures);
}
