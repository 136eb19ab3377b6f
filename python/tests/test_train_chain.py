"""Training network, losses, figures, calibration, export; and the whole chain on drawn faces."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kfd_model import VisionTransformer
from kfd_train import calibrate, checkpoint, choose_naming, choose_threshold, classifier, export, localisation, losses, metrics, smoke, stage1, stage2, synthetic, testsets
from kfd_train.naming import RegionNamer
from kfd_train.network import Evidence, StandardisedLinear, TrainingNetwork, normalise

torch.set_num_threads(1)


def tiny_network(mode: str = "lora") -> TrainingNetwork:
    torch.manual_seed(0)
    network = TrainingNetwork(VisionTransformer(224, 14, 24, 3, 3, 48), [0, 1, 2], mode, rank=4, embedding=8)
    network.standardise(torch.randint(0, 255, (4, 224, 224, 3), dtype=torch.uint8))
    return network


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_the_finished_detector_computes_what_was_trained(mode):
    network, pictures = tiny_network(mode), torch.randint(0, 255, (2, 224, 224, 3), dtype=torch.uint8)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    with torch.no_grad():
        expected = network.similarities(network.tapped(normalise(pictures), None))
        kfd = network.finish()
        found = kfd.patch_similarities(kfd.tapped_tokens(normalise(pictures)))
    for a, b in zip(expected, found):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
    assert not any(isinstance(m, StandardisedLinear) for m in kfd.modules())


def test_a_window_over_everything_is_the_whole_picture():
    network, x = tiny_network(), torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        for whole, window in zip(network.tapped(x, None), network.tapped(x, (0, 0, 16))):
            torch.testing.assert_close(whole, window, atol=1e-5, rtol=0)


def test_training_moves_only_what_the_mode_names():
    names = {n for n, p in tiny_network("lora").kfd.encoder.named_parameters() if p.requires_grad}
    assert names and all("lora" in n or ".norm" in n for n in names)
    network = tiny_network("full")
    grouped = {id(p) for group in network.parameter_groups({"relative": 1e-3, "norm": 1e-3, "heads": 1e-3}) for p in group["params"]}
    second_stage = {id(p) for head in (network.kfd.locator, network.kfd.classifier) for p in head.parameters()}
    assert grouped | second_stage == {id(p) for p in network.parameters() if p.requires_grad}


def test_evidence_starts_as_the_mean_of_the_strongest_patches():
    logits = [torch.arange(256.0).reshape(1, 16, 16) for _ in range(3)]
    assert Evidence(3)(logits).item() == pytest.approx(np.arange(236, 256).mean(), rel=1e-5)


def test_losses_prefer_the_right_answer():
    share = torch.zeros(2, 16, 16)
    share[1, 4:8, 4:8] = 1
    right, wrong = [share * 10 - 5], [5 - share * 10]
    assert losses.patch_loss(right, share) < 0.1 < losses.patch_loss(wrong, share)
    assert losses.image_loss(torch.tensor([-3.0, 3.0]), share) < losses.image_loss(torch.tensor([3.0, -3.0]), share)
    assert losses.ranking_loss(torch.tensor([-3.0, 3.0]), share) < losses.ranking_loss(torch.tensor([3.0, -3.0]), share)
    faint = share * 0.01  # forged part outside the window: the picture has no usable label
    assert losses.image_loss(torch.tensor([-3.0, -3.0]), faint) == losses.image_loss(torch.tensor([-3.0, 9.0]), faint)
    masks = torch.zeros(1, 8, 8)
    masks[:, :4] = 1
    s = torch.stack([1 - masks, masks], dim=1)
    assert losses.dice(s[:, 1], masks) < 0.05 < losses.dice(1 - s[:, 1], masks) and losses.focal(s, masks) < 1e-4


def test_figures_on_known_cases():
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    assert metrics.auc(labels, scores) == 0.75
    assert metrics.auc(labels, np.ones(4)) == 0.5
    assert metrics.average_precision(labels, scores) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.equal_error_rate(np.array([0, 1]), np.array([0.2, 0.9])) == 0
    assert metrics.expected_calibration_error(np.array([0, 1, 1, 1]), np.full(4, 0.75)) == pytest.approx(0)
    assert metrics.expected_calibration_error(np.array([1, 1]), np.full(2, 0.2)) == pytest.approx(0.8)
    with pytest.raises(ValueError, match="both classes"):
        metrics.auc(np.ones(3), scores[:3])


def test_interval_resamples_identities_not_pictures():
    labels, scores = np.tile([0, 1], 50), np.tile([0.2, 0.9, 0.5, 0.4], 25)
    wide = metrics.interval(lambda i: metrics.auc(labels[i], scores[i]), np.repeat(["a", "b"], 50))
    low, high = metrics.interval(lambda i: metrics.auc(labels[i], scores[i]), np.arange(100))
    assert wide[0] <= metrics.auc(labels, scores) <= wide[1] and low < high


def test_temperature_recovers_a_known_scale():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, 20000)
    labels = rng.random(20000) < 1 / (1 + np.exp(-(1.7 * z)))
    scale, bias = calibrate.fit_temperature(z, labels, np.full(len(z), 1 / len(z)))
    assert scale == pytest.approx(1.7, rel=0.05) and abs(bias) < 0.06


def test_the_calibration_weighs_self_blends_and_swaps_alike():
    kind = np.array(["real"] * 5 + ["self-blend"] * 2 + ["swap-alpha"] * 6 + ["swap-poisson"] * 2)
    weight = calibrate.mixed(kind)
    shares = [float(weight[np.isin(kind, group)].sum()) for group in calibrate.MIX]
    assert shares == pytest.approx([0.5, 0.25, 0.25])


def test_what_a_perfect_score_would_show_falls_with_the_number_of_pictures():
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    assert metrics.ece_of_a_perfect_score(p[:100]) > 0.06 > metrics.ece_of_a_perfect_score(p) * 4
    labels = rng.random(20000) < p
    assert metrics.expected_calibration_error(labels, p) == pytest.approx(metrics.ece_of_a_perfect_score(p), abs=0.01)


def drawn_scores(logit: np.ndarray, kind: list[str], identity: np.ndarray) -> calibrate.Scored:
    """Clean pictures, every forgery one of the whole face."""
    kind = np.array(kind)
    return calibrate.Scored(logit, kind, np.where(kind == "real", "", "face"), identity, np.ones(len(kind), bool))


def test_one_odd_person_does_not_decide_the_threshold():
    score = np.concatenate([np.linspace(0, 0.6, 280), np.full(10, 0.95), np.full(29, 0.9)])
    scored = drawn_scores(np.log(score / (1 - score) + 1e-9), ["real"] * 290 + ["self-blend"] * 29, np.concatenate([np.arange(280) % 28, np.full(10, 28), np.arange(29)]))
    threshold = choose_threshold.choose(score, scored, 0.95)
    assert 0.58 < threshold < 0.62  # 95 % of 29 people: all of 27 and a half
    chosen, figures = choose_threshold.choose_for(scored)
    assert chosen == threshold and figures["share"] == 0.95
    assert figures["realsLeftAlone"] == pytest.approx(28 / 29, abs=0.03) and figures["wholeFaceFound"] == 1.0
    assert figures["lowest"] <= threshold <= figures["highest"] + 1e-9


def test_the_threshold_rises_until_people_left_out_are_left_alone():
    rng = np.random.default_rng(1)
    identity = np.repeat(np.arange(12), 80)
    logit = rng.normal(0, 1.5, 12)[identity] + rng.normal(0, 0.8, 960)  # people differ: the others' threshold is too low for some
    scored = drawn_scores(logit, ["real", "self-blend"] * 480, identity)
    score = 1 / (1 + np.exp(-logit))
    assert choose_threshold.on_people_left_out(score, scored, 0.95)["realsLeftAlone"] < 0.95
    threshold, figures = choose_threshold.choose_for(scored)
    assert figures["share"] > 0.95 and figures["realsLeftAlone"] >= 0.95
    assert threshold > choose_threshold.choose(score, scored, 0.95)


def test_every_person_counts_the_same_in_the_threshold():
    many, few = np.full(1000, 0.9), np.full(20, 0.3)
    values, identity = np.concatenate([many, few]), np.concatenate([np.zeros(1000, int), np.arange(1, 21)])
    assert choose_threshold.person_quantile(values, identity, 0.95) == pytest.approx(0.3)
    assert choose_threshold.person_quantile(values, identity, 0.96) == pytest.approx(0.9)


def test_the_calibration_is_measured_on_people_left_out():
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(20), 60)
    kind = np.tile(["real", "self-blend", "swap-alpha"], 400)
    forged = kind != "real"
    logit = rng.normal(np.where(forged, 1.0, -1.0), 1.0)
    alike = calibrate.on_people_left_out(drawn_scores(logit, kind, identity))
    assert alike["ece"] < alike["perfectEce"] + 0.02
    # Each person an offset of their own: fitted on everybody the score looks better than on the person who is left out.
    odd = logit + rng.normal(0, 4, 20)[identity]
    scored = drawn_scores(odd, kind, identity)
    scale, bias, _ = calibrate.probability(scored)
    p = 1 / (1 + np.exp(-(scale * odd + bias)))
    others = scored.of(identity != 0)
    a, b = calibrate.fit_temperature(others.logit, others.forged, calibrate.mixed(others.kind))
    left_out = 1 / (1 + np.exp(-(a * odd[identity == 0] + b)))
    assert not np.allclose(p[identity == 0], left_out)  # the fit does depend on the person
    assert calibrate.on_people_left_out(scored)["brier"] > metrics.brier(forged, p)


def test_scores_that_fall_with_forgery_are_refused():
    scored = drawn_scores(np.array([1.0, 0.8, -1.0, -0.7]), ["real", "real", "self-blend", "swap-alpha"], np.arange(4))
    with pytest.raises(ValueError, match="rise with forgery"):
        calibrate.probability(scored)
    assert calibrate.probability(scored, must_rank=False)[:2] == (1.0, 0.0)


def drawn_tests(masks: np.ndarray, kind: list[str]) -> testsets.TestSet:
    count = len(kind)
    return testsets.TestSet(
        pictures=np.zeros((count, 1)), masks=masks, kind=np.array(kind), region=np.array([""] * count),
        identity=np.arange(count), source=np.arange(count), face=np.arange(count), landmarks=np.zeros((count, 68, 2)),
    )  # fmt: skip


def test_the_map_is_measured_apart_on_the_fakes_that_are_found():
    masks = np.zeros((3, 224, 224), np.uint8)
    masks[:2, 100:140, 100:140] = 1
    maps = np.stack([masks[0], np.zeros((224, 224)), np.zeros((224, 224))]).astype(np.float32)  # the second fake is not seen
    prior = {"self-blend": localisation.Prior(np.where(np.arange(224) < 112, 1.0, 0.0) * np.ones((224, 1)), 0.5)}
    row = localisation.table(drawn_tests(masks, ["self-blend", "self-blend", "real"]), maps, prior, np.array([True, False, False]))["self-blend"]
    constant = 480 / (40 * 40 + 112 * 224 - 480)
    assert row["found"] == 1 and row["gainFound"] == pytest.approx(1 - constant) and row["gainMissed"] == pytest.approx(-constant)
    assert row["gain"] == pytest.approx((row["gainFound"] + row["gainMissed"]) / 2)


def test_the_cut_of_the_map_serves_self_blends_and_swaps(monkeypatch):
    kfd = tiny_network().finish()
    masks = np.zeros((3, 224, 224), np.uint8)
    masks[:2, 80:160, 80:160] = 1
    shift = {"self-blend": -0.95, "swap-alpha": 0.45, "real": -3.0}
    tests = drawn_tests(masks, ["self-blend", "swap-alpha", "real"])
    tests.pictures = np.array([[0], [1], [2]])

    def logits(_, pictures: np.ndarray) -> np.ndarray:
        forged = masks[pictures[:, 0], 2::4, 2::4] > 0
        level = np.array([shift[str(tests.kind[i])] for i in pictures[:, 0]], np.float32)[:, None, None]
        return np.where(forged, level, np.float32(-4.0))

    monkeypatch.setattr(calibrate, "map_logits", logits)
    before = float(kfd.locator.finalconv.bias[1])
    figures = calibrate.shift_map(kfd, [tests])
    assert figures["shift"] == pytest.approx(1.0, abs=0.05) and figures["realPixelsLit"] == 0.0  # the self-blend needs 0.95
    assert float(kfd.locator.finalconv.bias[1]) - before == pytest.approx(figures["shift"], abs=1e-6)


def test_folding_changes_the_score_as_fitted():
    kfd = tiny_network().finish()
    maps = kfd.enlarge([torch.randn(3, 2, 16, 16) for _ in range(3)])
    before = kfd.classifier.logits(maps)
    calibrate.fold(kfd, 2.5, -0.7)
    after = kfd.classifier.logits(maps)
    torch.testing.assert_close(after[:, 1] - after[:, 0], 2.5 * (before[:, 1] - before[:, 0]) - 0.7, atol=1e-5, rtol=1e-4)


def test_the_classifier_starts_as_graded_thresholds():
    kfd = tiny_network().finish()
    classifier.start_from_exceedances(kfd.classifier, torch.randn(3, 1000))
    weak, strong = (torch.zeros(1, 2, 224, 224) for _ in range(2))
    strong[:, 1] = 2.0
    first = kfd.classifier.meta_net[0][0]
    assert (first(strong)[0, :12, 100, 100] > first(weak)[0, :12, 100, 100]).all()


def patch_maps(count: int, seed: int) -> torch.Tensor:
    """Maps (N,3,2,16,16) of a smooth background with a patch of evidence in half of them."""
    rng = torch.Generator().manual_seed(seed)
    maps = torch.randn(count, 3, 2, 16, 16, generator=rng)
    for i in range(0, count, 2):
        top, left, side = torch.randint(2, 9, (3,), generator=rng).tolist()
        maps[i, :, 1, top : top + side, left : left + side] += 12 * torch.rand((), generator=rng)
    return maps


def test_the_classifier_learns_the_pooled_evidence():
    kfd, new = tiny_network().finish(), patch_maps(48, 2)
    learnt = classifier.fit_to_pool(kfd, patch_maps(128, 1), seed=0)
    with torch.no_grad():
        logits = kfd.classifier.logits(kfd.enlarge(list(new.unbind(1))))
    difference, wanted = (logits[:, 1] - logits[:, 0]).numpy(), classifier.pooled_score(list(new.unbind(1))).numpy()
    assert learnt["correlation"] > 0.99
    assert np.corrcoef(difference, wanted)[0, 1] > 0.85  # of 128 drawn maps; thousands of real ones give .999
    assert np.abs(difference - wanted).mean() < np.abs(wanted - wanted.mean()).mean() / 2


def test_a_renewed_classifier_leaves_encoder_and_locator_as_they_are(tmp_path):
    synthetic.write_store(tmp_path)
    config = stage1.read_config(Path(stage1.__file__).parent / "configs" / "smoke.json", [])
    kfd, path = tiny_network().finish(), tmp_path / "tiny.pt"
    training = {"config": config, "calibration": {"map": {"shift": 0.3}}, "notes": ["first"]}
    export.save_model(kfd, path)
    described = export.manifest(kfd, path, {"points": [], "template": [], "regions": {}}, 0.5, training, {})
    export.write_json(path.with_suffix(".kfd.json"), described)
    before, _, _ = checkpoint.load_exported(path)
    stage2.renew_classifier(tmp_path, path, tmp_path / "detector.pt", 2, 1, ("second",), must_rank=False)
    after, threshold, record = checkpoint.load_detector(tmp_path / "detector.pt")
    changed = {name.split(".")[0] for name, tensor in before.state_dict().items() if not torch.equal(tensor, after.state_dict()[name])}
    assert changed == {"classifier"}
    assert record["notes"] == ["first", "second"] and record["calibration"]["map"] == {"shift": 0.3}
    assert threshold == record["calibration"]["threshold"] and {"ece", "realsLeftAlone"} <= set(record["calibration"]["leaveOneOut"])


def test_an_exported_file_without_its_manifest_is_refused(tmp_path):
    export.save_model(tiny_network().finish(), tmp_path / "tiny.pt")
    with pytest.raises(FileNotFoundError, match="tiny.kfd.json"):
        checkpoint.load_exported(tmp_path / "tiny.pt")


def test_a_name_is_right_if_half_of_its_region_is_forged_and_the_rule_is_chosen_by_that():
    square = lambda x, y, side=40: [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]  # noqa: E731
    polygons = {"nose": square(90, 90), "mouth": square(90, 140), "center face": square(60, 60, 130), "full face": square(40, 40, 170)}
    masks = np.zeros((4, 224, 224), np.uint8)
    masks[:3, 140:180, 90:130] = 1  # the mouth; row 3 is untouched
    maps = np.where(masks > 0, 0.95, 0.1).astype(np.float32)
    maps[:, 90:130, 90:130] = 0.62  # the nose is lit by mistake, but less
    tests = drawn_tests(masks, ["splice"] * 3 + ["real"])
    found = np.array([True, True, False, True])
    loose = localisation.naming_table(tests, maps, found, RegionNamer(polygons))
    assert loose["partEdits"] == {"fakes": 3, "found": 2, "named": 2, "right": 0.0, "majority": 1.0, "majorityName": "mouth"}
    rule, figures = choose_naming.choose_rule(tests, maps, found, polygons)
    assert rule.lit > 0.62 and figures["all"]["right"] == 1.0 and figures["all"]["named"] == 2


def test_an_export_is_what_was_trained(tmp_path):
    kfd = tiny_network().finish()
    checkpoint.save_detector(tmp_path / "detector.pt", kfd, 0.5, {"seed": 0})
    loaded, threshold, training = checkpoint.load_detector(tmp_path / "detector.pt")
    path = tmp_path / "tiny.pt"
    export.save_model(loaded, path)
    difference = export.compare_scripted(kfd, path, torch.randn(2, 3, 224, 224))
    assert difference["scriptedFloat32.p"] <= 1e-5 and difference["halfStorage.p"] < 0.02
    canonical = {"points": ["rightEye"], "template": [[83, 92]], "regions": {}}
    described = export.manifest(loaded, path, canonical, threshold, training, {})
    assert described["bytes"] == path.stat().st_size and described["vit"]["taps"] == [0, 1, 2] and described["kfd"]["promptTokens"] == 0
    assert next(torch.jit.load(str(path)).parameters()).dtype == torch.float16


def test_an_unknown_configuration_key_is_refused(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(ValueError, match="expected one of"):
        stage1.read_config(tmp_path / "c.json", ["sead=2"])


def test_the_whole_chain_runs(tmp_path):
    measured = smoke.run(tmp_path, ["minutes=0.1"])
    assert 0 <= measured["canonical"]["kinds"]["self-blend"]["auc"] <= 1
    manifest = json.loads((tmp_path / "mini-kfd.kfd.json").read_text())
    assert manifest["metrics"]["model"] == manifest["sha256"]
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "Not for" in card and "| swap-alpha | yes |" in card and "| splice | no |" in card
    assert (tmp_path / "run" / "curve.jsonl").read_text().count("\n") >= 1
