/**
 * What a model's manifest records about its own tests (`metrics`, written by python -m kfd_train evaluate) in plain
 * sentences. Models of other origin may record other things: what is not understood is left out.
 */

type Json = Readonly<Record<string, unknown>>;

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function interval(value: unknown): string {
  const [low, high] = (Array.isArray(value) ? value : []).map(number);
  return low === undefined || high === undefined ? '' : ` [${low.toFixed(2)}, ${high.toFixed(2)}]`;
}

function separation(kinds: Json): string[] {
  return Object.entries(kinds).flatMap(([kind, row]) => {
    const { auc, aucInterval, fakes } = object(row);
    const area = number(auc);
    if (area === undefined) return [];
    const count = number(fakes) === undefined ? '' : `, ${String(fakes)} fakes`;
    return [`${kind}: AUC ${area.toFixed(2)}${interval(aucInterval)}${count}`];
  });
}

function atThreshold(calibration: Json): string[] {
  const { realsLeftAlone, wholeFaceFound } = object(calibration['threshold']);
  const [reals, fakes] = [number(realsLeftAlone), number(wholeFaceFound)];
  if (reals === undefined || fakes === undefined) return [];
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  return [
    `at the threshold ${percent(reals)} of real faces are called real and ${percent(fakes)} of whole-face forgeries fake`,
  ];
}

/** A map is worth something only where it beats one fixed mask that is the same for every picture. */
function localisation(groups: Json): string[] {
  return Object.entries(groups).flatMap(([group, row]) => {
    const { iou, constantIou, gain, gainInterval } = object(row);
    const [map, constant, difference] = [number(iou), number(constantIou), number(gain)];
    if (map === undefined || constant === undefined) return [];
    const by =
      difference === undefined ? '' : ` (difference ${difference.toFixed(2)}${interval(gainInterval)})`;
    return [`map on ${group}: IoU ${map.toFixed(2)}, a constant mask reaches ${constant.toFixed(2)}${by}`];
  });
}

function regionNames(groups: Json): string[] {
  return Object.entries(groups).flatMap(([group, row]) => {
    const { right, majority } = object(row);
    const [share, guess] = [number(right), number(majority)];
    if (share === undefined || guess === undefined) return [];
    return [
      `region named on ${group}: right in ${share.toFixed(2)}, always naming the most frequent: ${guess.toFixed(2)}`,
    ];
  });
}

/** Measured figures, one sentence each; empty where the manifest records none. */
export function describeMeasurements(metrics: Json): string[] {
  const aligned = object(metrics['canonical']);
  const sentences = [
    ...separation(object(aligned['kinds'])),
    ...atThreshold(object(aligned['calibration'])),
    ...localisation(object(aligned['localisation'])),
    ...regionNames(object(aligned['regions'])),
  ];
  const [faces, identities] = [number(metrics['faces']), number(metrics['identities'])];
  if (sentences.length === 0 || faces === undefined || identities === undefined) return sentences;
  return [
    `measured on ${faces} photographs of ${identities} people it was not trained on (95 % intervals by person)`,
    ...sentences,
  ];
}
