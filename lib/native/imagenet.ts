import type { InputSpec } from './types.js';

/** What models without a manifest are taken to expect: timm's usual size, mean and standard deviation. */
export const IMAGENET_INPUT: InputSpec = {
  width: 224,
  height: 224,
  fit: 'stretch',
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};
