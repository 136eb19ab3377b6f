"""Starting, resuming and carrying training runs: schedule, rates, initial weights, packs, variation of photographs."""

import json

import numpy as np
import pytest
import torch

from kfd_model import VisionTransformer
from kfd_train import checkpoint, export, pack, schedule, soup, stage1, synthetic, variation
from kfd_train.batches import PairStream, loader
from kfd_train.network import TrainingNetwork, normalise

torch.set_num_threads(1)


def tiny_network(mode: str, seed: int = 0) -> TrainingNetwork:
    torch.manual_seed(seed)
    network = TrainingNetwork(VisionTransformer(224, 14, 24, 3, 3, 48), [0, 1, 2], mode, rank=4, embedding=8)
    network.standardise(torch.randint(0, 255, (4, 224, 224, 3), dtype=torch.uint8))
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1)
    return network


def patch_logits(network: TrainingNetwork, pictures: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        similarities = network.similarities(network.tapped(normalise(pictures), None))
    return torch.stack([s[:, 1] - s[:, 0] for s in similarities])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    synthetic.write_store(folder)
    return folder


@pytest.fixture
def config():
    return stage1.read_config(stage1.Path(stage1.__file__).parent / "configs" / "smoke.json", [])


def test_the_rate_warms_up_stays_and_cools_down():
    config = {"minutes": 10, "cool_down_minutes": 4, "warm_up_steps": 10}
    assert schedule.rate_factor(config, 0, 0) == pytest.approx(0.1)
    assert schedule.rate_factor(config, 1, 50) == schedule.rate_factor(config, 6, 500) == 1
    assert schedule.rate_factor(config, 8, 900) == pytest.approx(0.505)
    assert schedule.rate_factor(config, 10, 999) == pytest.approx(0.01)


def test_a_share_of_the_steps_sees_a_window_of_the_picture():
    rng = np.random.default_rng(0)
    drawn = [schedule.draw_window({"windows": {"side": 12, "share": 0.6}}, rng) for _ in range(400)]
    assert 0.5 < np.mean([window is not None for window in drawn]) < 0.7
    assert {corner for window in drawn if window for corner in window[:2]} == {0, 1, 2, 3, 4}
    assert schedule.draw_window({"windows": {"side": 16, "share": 1.0}}, rng) is None


def test_full_training_moves_every_tensor_by_the_same_share():
    network = tiny_network("full")
    network.kfd.encoder.blocks[0].mlp.fc2.weight.data *= 0.01
    rate = {id(p): g["lr"] for g in network.parameter_groups({"relative": 0.01, "norm": 1, "heads": 1}, 1.0) for p in g["params"]}
    for weight in (network.kfd.encoder.blocks[i].mlp.fc2.weight for i in range(3)):
        assert rate[id(weight)] == pytest.approx(0.01 * float(weight.detach().square().mean().sqrt()))


@pytest.mark.parametrize("before", ["lora", "full"])
def test_a_run_starts_from_what_another_learnt(before):
    pictures = torch.randint(0, 255, (2, 224, 224, 3), dtype=torch.uint8)
    old, new = tiny_network(before, 1), tiny_network("full", 2)
    assert not torch.allclose(patch_logits(old, pictures), patch_logits(new, pictures), atol=1e-2)
    new.start_from(old)
    torch.testing.assert_close(patch_logits(new, pictures), patch_logits(old, pictures), atol=2e-3, rtol=0)


def test_a_run_starts_from_an_exported_model(tmp_path):
    pictures = torch.randint(0, 255, (4, 224, 224, 3), dtype=torch.uint8)
    old, new = tiny_network("lora", 1), tiny_network("full", 2)
    path = tmp_path / "old.pt"
    export.save_model(old.finish(), path)
    path.with_suffix(".kfd.json").write_text("{}")
    stage1.start_network(new, path, pictures)
    torch.testing.assert_close(patch_logits(new, pictures), patch_logits(old, pictures), atol=0.3, rtol=0)  # half storage
    assert new.kfd.adapters[0].std.min() > 0
    with pytest.raises(ValueError, match="mode 'full'"):
        stage1.start_network(tiny_network("lora"), path, pictures)


def test_a_run_in_chunks_goes_on_where_it_stopped(store, config, tmp_path, capsys):
    config |= {"minutes": 60, "cool_down_minutes": 60 - 1e-6}  # cooling from the first step on; a chunk of 0 minutes is one step
    used = lambda: torch.load(tmp_path / "stage1.pt", weights_only=True)["minutes"]  # noqa: E731; the curve's are rounded
    first, minutes = stage1.run(config, store, tmp_path, None, "cpu", chunk=0), used()
    second = stage1.run(config, store, tmp_path, None, "cpu", chunk=0)
    assert "resumed at step 1" in capsys.readouterr().out
    assert (first["step"], second["step"]) == (1, 2) and second["pictures"] == 4 * config["pairs"] and used() > minutes
    assert stage1.run(config | {"minutes": 1e-9}, store, tmp_path, None, "cpu") == second  # finished: nothing more is done
    assert torch.load(tmp_path / "stable.pt", weights_only=True)["step"] == 1
    longer = stage1.run(config, store, tmp_path / "longer", None, "cpu", start=tmp_path / "stable.pt", chunk=0)
    assert longer["step"] == 2


def test_a_run_in_pieces_equals_an_uninterrupted_one(store, config, tmp_path):
    config |= {"minutes": 60, "cool_down_minutes": 0, "windows": {"side": 16, "share": 0}, "validation_variants": 1}
    for _ in range(3):
        stage1.run(config, store, tmp_path / "pieces", None, "cpu", chunk=0)
    stream = stage1.prepare(config, store)[0]
    network = stage1.build_network(config, None)
    stage1.start_network(network, None, stream.batch(1 << 30)[0])
    whole = stage1.Run(config, network.train(), tmp_path, "cpu")
    for i in range(3):
        whole.train(*stream.batch(i), None)
    pieces = torch.load(tmp_path / "pieces" / "stage1.pt", weights_only=True)
    assert pieces["step"] == whole.step == 3
    for name, value in whole.average.values.items():
        torch.testing.assert_close(pieces["average"][name], value, atol=1e-6, rtol=1e-5)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(pieces["network"][name], parameter.detach(), atol=1e-6, rtol=1e-5)


def test_worker_processes_make_the_same_batches(store, config):
    stream = stage1.prepare(config, store)[0]
    expected = [stream.batch(i) for i in range(3)]
    found = [batch for batch, _ in zip(loader(stream, 2), range(3))]
    for a, b in zip(expected, found):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_an_unknown_kind_of_forgery_is_refused(store, config):
    material = stage1.prepare(config, store)[0].material
    with pytest.raises(ValueError, match="correct 'kinds'"):
        PairStream(material, 1, 0, kinds={"self-blend": 1, "puppetry": 1})


def test_both_precisions_see_the_same_picture():
    network, pictures = tiny_network("full"), torch.randint(0, 255, (2, 224, 224, 3), dtype=torch.uint8)
    network.eval()
    logits = {}
    for network.precision in ("float32", "bfloat16"):
        with torch.no_grad():
            logits[network.precision] = network(pictures)[1]
    assert not torch.equal(logits["float32"], logits["bfloat16"])
    torch.testing.assert_close(logits["bfloat16"], logits["float32"], atol=0.5, rtol=0.05)
    with pytest.raises(ValueError, match="precision"):
        TrainingNetwork(VisionTransformer(224, 14, 24, 3, 3, 48), [0, 1, 2], precision="float16")


def test_variation_keeps_the_partners_alike_and_the_landmarks_on_the_face():
    image = np.zeros((224, 224, 3), np.float32)
    landmarks = np.random.default_rng(1).uniform(70, 150, (68, 2)).astype(np.float32)
    image[100:110, 100:110] = 255  # a landmark one can see
    landmarks[0] = 105, 105
    moved_by = []
    for seed in range(20):
        bent, moved = variation.reshape_face(image, landmarks, np.random.default_rng(seed))
        row, column = np.argwhere(bent[..., 0] > 128).mean(0) + 0.5
        assert np.hypot(column - moved[0, 0], row - moved[0, 1]) < 2.0
        moved_by.append(np.abs(moved - landmarks).max())
    assert 1 < np.mean(moved_by) < 15
    varied, _ = variation.vary(image + 60, landmarks, np.random.default_rng(0))
    assert varied.dtype == np.float32 and varied.shape == image.shape


def test_a_soup_is_the_mean_of_runs_from_one_start(tmp_path):
    states = []
    for i in range(2):
        network = tiny_network("full")
        with torch.no_grad():
            network.class_vectors.add_(i)
        states.append({"network": network.state_dict(), "config": {"taps": [0, 1, 2], "seed": 5 - i}, "curve": [{"step": i}]})
        torch.save(states[i], tmp_path / f"{i}.pt")
    soup.main([str(tmp_path / "0.pt"), str(tmp_path / "1.pt"), "--out", str(tmp_path / "soup.pt")])
    mixed = torch.load(tmp_path / "soup.pt", weights_only=True)
    torch.testing.assert_close(mixed["network"]["class_vectors"], states[0]["network"]["class_vectors"] + 0.5)
    assert mixed["curve"] == [{"step": 0}, {"step": 1}]
    assert mixed["seeds"] == [4, 5]
    elsewhere = {**states[1], "network": tiny_network("full", seed=1).state_dict()}
    with pytest.raises(ValueError, match="began from the same weights"):
        soup.average([states[0], elsewhere])
    with pytest.raises(ValueError, match="one architecture"):
        soup.average([states[0], {**states[1], "network": tiny_network("lora").state_dict()}])


def test_a_pack_trains_elsewhere(store, config, tmp_path):
    (store / "photographs").mkdir(exist_ok=True)
    texture = np.random.default_rng(0).integers(0, 255, (400, 500, 3), dtype=np.uint8)
    pack.cv2.imwrite(str(store / "photographs" / "a.png"), texture)
    listing = {"photographs": ["photographs/a.png"], "details": [{"path": "photographs/a.png", "author": "x", "licence": "y", "package": "z"}]}
    (store / "photographs.json").write_text(json.dumps(listing))
    network = tiny_network("full")
    torch.save({"network": network.state_dict(), "config": {"taps": [0, 1, 2]}, "curve": []}, tmp_path / "averaged.pt")
    size = pack.pack(store, tmp_path / "pack", [tmp_path / "averaged.pt"])
    assert size == sum(p.stat().st_size for p in (tmp_path / "pack").rglob("*") if p.is_file())
    stream = stage1.prepare(config | {"photograph_share": 0.5}, tmp_path / "pack")[0]
    assert stream.batch(0)[0].shape == (16, 224, 224, 3)
    packed = torch.load(tmp_path / "pack" / "averaged.pt", weights_only=True)["network"]
    assert packed["kfd.encoder.pos_embed"].dtype == torch.float16
    network.load_state_dict(packed)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="kfd_train heads"):
        checkpoint.load_detector(tmp_path / "none.pt")
