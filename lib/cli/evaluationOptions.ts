import type { Argv } from 'yargs';

/** Which images of a folder an evaluation takes, and what belongs to them. */
export function addImageFolderOptions<T>(cli: Argv<T>) {
  return cli
    .option('face-model', { type: 'string', describe: 'Face detector; default: the bundled one' })
    .option('masks', {
      type: 'string',
      describe: 'Folder with NAME.png for each image; default: beside the images',
    })
    .option('groups', { type: 'string', describe: 'CSV of image,group: one person or video is one group' })
    .option('limit', { type: 'number', describe: 'Take so many images, drawn by the seed' })
    .option('seed', { type: 'number', default: 0, describe: 'Seed of everything that is drawn' })
    .option('quiet', {
      alias: 'q',
      type: 'boolean',
      default: false,
      describe: 'No progress bar and no summary line',
    });
}
