"""The attention-flow oracles agree with each other and satisfy the invariants of spec/daam.md section 3, in float64."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from oracles import daam_cases, daam_flow, daam_kfd, daam_render, daam_tape, daam_targets, daam_trained, daam_weights, kfd
from oracles.daam_official import OfficialDaam
from oracles.reference_vits import VARIATIONS
from oracles.vit import VitConfig, make_vit

torch.set_num_threads(1)

CONFIGS = {name: config for name, (config, _) in VARIATIONS.items() if name != "plain_timm_methods"}
CONFIGS["deeper"] = VitConfig(depth=6, layer_scale=True, dim=36, heads=3, height=64, width=40)
WITH_CLASS_HEAD = [name for name, c in CONFIGS.items() if c.class_token and not c.fc_norm]
ADDITIVE = [name for name, c in CONFIGS.items() if not c.attention_norm]
TOLERANCE = 1e-10


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    actual, expected = actual.detach(), expected.detach()
    return float((actual - expected).abs().max() / expected.abs().max().clamp(min=1e-30))


class Setting:
    """A float64 model, two images, the tapes of its forward pass and all targets."""

    def __init__(self, config: VitConfig, seed: int = 3, trained: bool = False):
        self.config = config
        self.model = make_vit(config, seed).double()
        self.image = torch.randn(2, 3, config.height, config.width, generator=torch.Generator().manual_seed(seed)).double()
        if trained:
            encoder = daam_trained.detector().encoder.state_dict()
            self.model.load_state_dict(encoder, strict=False)  # all but the head, which stays random: it is only read from
            self.image = daam_trained.crops()[:2]
        self.tapes = daam_tape.run(self.model, self.image)
        self.states = [t.output for t in self.tapes]
        self.targets = daam_targets.vit_targets(self.model, self.states[-1].detach(), seed)
        self.grid = (config.height // config.patch, config.width // config.patch)

    def target(self, name: str) -> daam_targets.Target:
        return next(t for t in self.targets if t.name == name)

    def every_row(self) -> list[int]:
        return list(range(self.tapes[0].x.shape[1]))


def make(name: str) -> Setting:
    return Setting(daam_trained.CONFIG, trained=True) if name == "trained" else Setting(CONFIGS[name])


# Random weights hide much (I6 first of all), so the bundled detector's encoder goes through the same checks.
@pytest.fixture(params=[*CONFIGS, "trained"], scope="module")
def setting(request) -> Setting:
    return make(request.param)


@pytest.fixture(params=["deeper", "trained"], scope="module")
def several(request) -> Setting:
    return make(request.param)


@pytest.fixture
def deeper() -> Setting:
    return Setting(CONFIGS["deeper"])


def test_tape_is_the_models_own_forward(setting):
    logits = setting.model.classify(setting.states[-1])
    assert relative(logits, setting.model(setting.image)) < TOLERANCE


def test_parts_sum_to_what_the_block_adds(setting):  # I1, I2, I2', I3
    total = setting.tapes[0].x
    for block, tape in zip(setting.model.blocks, setting.tapes, strict=True):
        H, d = tape.value.shape[1], tape.value.shape[3]
        S = (tape.attention[:, :, 0, :, None] * tape.value).transpose(1, 2).flatten(2)  # (B,N,D) of row 0
        assert relative(S.sum(1), tape.mixed[:, 0]) < TOLERANCE
        projected = block.ls1(F.linear(block.attn.norm(S.sum(1)), block.attn.proj.weight, block.attn.proj.bias))
        assert relative(projected, tape.attention_update[:, 0]) < TOLERANCE
        if block.attn.qkv.bias is not None:
            bias = block.attn.qkv.bias[-H * d :]
            without = tape.value - bias.reshape(H, 1, d)
            split = (tape.attention[:, :, 0, :, None] * without).sum(2).flatten(1) + bias
            assert relative(split, tape.mixed[:, 0]) < TOLERANCE
        total = total + tape.attention_update + tape.mlp_update
    assert relative(total, setting.states[-1]) < TOLERANCE


def test_weights_are_the_derivatives_of_their_target(setting):  # I12: every formula for the weights
    for target in setting.targets:
        exact = daam_flow.reverse(setting.tapes, target)
        linear = daam_flow.derivative(target.linear(setting.model, setting.states[-1]), [t.mixed for t in setting.tapes])
        for a, b in zip(linear, exact, strict=True):
            if b.abs().max() > 0:
                assert relative(a, b) < TOLERANCE, target.name


def test_maps_sum_to_gradient_times_activation(setting):  # I9, I-head, I15
    rows = setting.every_row()
    for target in setting.targets:
        found = daam_flow.maps(setting.tapes, daam_flow.reverse(setting.tapes, target), rows)
        # beside the maps' own size: a norm before the projection makes the total itself vanish
        assert float((found["U"].sum(-1) - found["total"]).abs().max() / found["U"].abs().max()) < TOLERANCE
        assert relative(found["U_heads"].sum(2), found["U"]) < TOLERANCE
        assert relative(found["U_relu_heads"].sum(2), found["U_relu"]) < TOLERANCE
    C = daam_flow.reverse(setting.tapes, setting.targets[0])[0]
    tape = setting.tapes[0]
    S = (tape.attention[:, :, 0, :, None] * tape.value).transpose(1, 2).flatten(2)
    naive = (C[:, :1].clamp(min=0) * S).sum(2)
    assert relative(daam_flow.maps([tape], [C], [0])["U_relu"][0], naive) < TOLERANCE


@pytest.mark.parametrize("name", [*ADDITIVE, "trained"])
def test_direct_split_is_complete(name):  # I4, I4', I4''
    setting = make(name)
    rows = setting.every_row()
    for target in setting.targets:
        d = daam_flow.direct(setting.model, setting.tapes, target, rows)
        total = d["U"].sum((0, 2)) + d["attention_bias"].sum(0) + d["mlp"].sum(0)
        total = total + d["embedding"] + d["norm_bias"] + d["head_bias"]
        scale = max(float(d[k].abs().max()) for k in ("mlp", "embedding", "value"))
        assert float((total - d["value"]).abs().max()) / scale < TOLERANCE, target.name
        assert relative(d["value"], target.linear(setting.model, setting.states[-1]).detach()) < TOLERANCE


@pytest.mark.parametrize("name", [n for n in WITH_CLASS_HEAD if n in ADDITIVE])
def test_direct_split_reads_only_the_rows_of_the_head(name):
    setting = Setting(CONFIGS[name])
    rows = daam_tape.head_rows(setting.model)
    for target in setting.targets:
        every = daam_flow.direct(setting.model, setting.tapes, target, setting.every_row())
        alone = daam_flow.direct(setting.model, setting.tapes, target, rows)
        for array in every:
            if every[array].abs().max() > 0:
                assert relative(alone[array], every[array]) < TOLERANCE, array


@pytest.mark.parametrize("block", [0, 3, 5])
def test_gradient_is_the_finite_difference(several, block):  # I5
    target = several.target("logit:3")
    C = daam_flow.reverse(several.tapes, target)[block]
    direction = torch.randn(C.shape[-1], dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def logit(step: float) -> torch.Tensor:
        tape = several.tapes[block]
        mixed = tape.mixed.detach().clone()
        mixed[:, 0] += step * direction
        module = several.model.blocks[block]
        x = tape.x.detach() + module.ls1(module.attn.proj(module.attn.norm(mixed)))
        x = x + module.ls2(module.mlp(module.norm2(x)))
        for later in several.model.blocks[block + 1 :]:
            x = later(x)
        return several.model.classify(x)[:, 3]

    step = 1e-5
    difference = (logit(step) - logit(-step)) / (2 * step)
    assert relative(difference, C[:, 0] @ direction) < 1e-7


@pytest.mark.parametrize("name", [*WITH_CLASS_HEAD, "trained"])
def test_class_row_is_exact_for_two_blocks_only(name):  # I6
    setting = make(name)
    rows = daam_tape.head_rows(setting.model)
    alone = daam_tape.run_rows_alone(setting.model, setting.tapes, rows)
    target = setting.target("logit:3")
    full, cheap = daam_flow.reverse(setting.tapes, target), daam_flow.reverse(alone, target)
    errors = [relative(c[:, rows], f[:, rows]) for c, f in zip(cheap, full, strict=True)]
    assert errors[-1] < TOLERANCE and errors[-2] < TOLERANCE
    assert errors[0] > 1e-4


def test_last_block_in_closed_form(several):  # I11, with I7's gradient of LayerNorm
    model, tape, target = several.model, several.tapes[-1], several.target("logit:3")
    block = model.blocks[-1]

    def norm_reverse(norm: nn.LayerNorm, x: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
        sigma = (x.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
        unit, h = (x - x.mean(-1, keepdim=True)) / sigma, norm.weight * dy
        return (h - h.mean(-1, keepdim=True) - unit * (h * unit).mean(-1, keepdim=True)) / sigma

    g = norm_reverse(model.norm, tape.output[:, 0], model.head.weight[3].expand(2, -1))
    assert float(g.sum(-1).abs().max()) < 1e-12
    middle = (tape.x + tape.attention_update)[:, 0]
    hidden = block.mlp.fc1(block.norm2(middle))
    gelu = 0.5 * (1 + torch.erf(hidden / 2**0.5)) + hidden * torch.exp(-(hidden**2) / 2) / (2 * torch.pi) ** 0.5
    inner = gelu * (block.ls2(g) @ block.mlp.fc2.weight)
    g = g + norm_reverse(block.norm2, middle, inner @ block.mlp.fc1.weight)
    expected = block.ls1(g) @ block.attn.proj.weight
    assert relative(expected, daam_flow.reverse(several.tapes, target)[-1][:, 0]) < TOLERANCE


def test_flow_is_linear_in_the_target(several):  # I12, I-bias
    C = {t.name: daam_flow.reverse(several.tapes, t)[0] for t in several.targets}
    p = several.model(several.image).softmax(1)
    every = [
        daam_flow.derivative(several.model.classify(several.states[-1])[:, k], [several.tapes[0].mixed])[0] for k in range(10)
    ]
    assert relative(every[2] - every[7], C["difference:2,7"]) < TOLERANCE
    mixture = sum(p[:, k, None, None] * every[k] for k in range(10))
    assert relative(every[5] - mixture, C["log-probability:5"]) < TOLERANCE
    assert relative(p[:, 4, None, None] * (every[4] - mixture), C["probability:4"]) < TOLERANCE


def test_logit_ignores_scale_and_shift_of_the_class_token(several):  # I14
    last = several.states[-1].detach()
    assert relative(several.model.classify(3 * last + 7), several.model.classify(last)) < 1e-5


def test_maps_follow_a_permutation_of_the_patches(several):  # I13
    x = several.model.tokens(several.image)
    order = torch.cat([torch.tensor([0]), 1 + torch.randperm(x.shape[1] - 1, generator=torch.Generator().manual_seed(2))])
    maps = []
    for tokens in (x, x[:, order]):
        tapes, tokens = [], tokens.detach().requires_grad_()
        for block in several.model.blocks:
            tapes.append(daam_tape.run_block(block, tokens))
            tokens = tapes[-1].output
        maps.append(daam_flow.maps(tapes, daam_flow.reverse(tapes, several.targets[0]), [0])["U_relu"])
    assert relative(maps[1], maps[0][:, :, order]) < TOLERANCE


def test_channel_relu_depends_on_the_implementation(several):  # I8
    flipped = daam_cases.flip_value_channels(several.model, slice(0, None, 3))
    assert relative(flipped(several.image), several.model(several.image)) < TOLERANCE
    found = []
    for model in (several.model, flipped):
        tapes = daam_tape.run(model, several.image)
        target = daam_targets.vit_targets(model, tapes[-1].output.detach(), 3)[1]
        found.append(daam_flow.maps(tapes, daam_flow.reverse(tapes, target), [0]))
    assert relative(found[1]["U"], found[0]["U"]) < TOLERANCE
    assert relative(found[1]["U_relu"], found[0]["U_relu"]) > 0.05


def test_images_of_a_batch_do_not_mix(setting):
    rows, target = setting.every_row(), 1
    both = daam_flow.maps(setting.tapes, daam_flow.reverse(setting.tapes, setting.targets[target]), rows)
    tapes = daam_tape.run(setting.model, setting.image[1:])
    own = daam_targets.vit_targets(setting.model, tapes[-1].output.detach(), 3)[target]
    single = daam_flow.maps(tapes, daam_flow.reverse(tapes, own), rows)
    assert relative(both["U_relu"][:, 1:], single["U_relu"]) < TOLERANCE


@pytest.mark.parametrize("name", ["plain", "clip_like", "dinov2_like", "layer_scale_registers", "non_square", "deeper"])
def test_published_algorithm_agrees(name):
    setting = Setting(CONFIGS[name])
    prefix = setting.model.prefix
    with OfficialDaam(setting.model, setting.grid, prefix) as official:
        found = official(setting.image)
    own = daam_flow.maps(setting.tapes, daam_flow.reverse(setting.tapes, setting.target("max")), [0])
    expected = own["U_relu"][..., prefix:].clamp(min=0).unflatten(-1, setting.grid).transpose(0, 1)
    assert relative(found.block_maps, expected) < TOLERANCE
    assert relative(found.coefficients, own["C"].transpose(0, 1)) < TOLERANCE
    accumulated = daam_cases.accumulated_maps(own["U_relu"], prefix, setting.grid)
    assert relative(found.accumulated, torch.from_numpy(accumulated).transpose(0, 1)) < TOLERANCE


def test_published_self_supervised_algorithm_agrees(deeper):
    target = deeper.target("bank")
    headless = copy.deepcopy(deeper.model)
    headless.head = nn.Identity()
    with OfficialDaam(headless, deeper.grid) as official:
        found = official(deeper.image, weights=target.weights)
    own = daam_flow.maps(deeper.tapes, daam_flow.reverse(deeper.tapes, target), [0])
    expected = own["U"][..., 1:].clamp(min=0).unflatten(-1, deeper.grid).transpose(0, 1)
    assert relative(found.block_maps, expected) < TOLERANCE


def test_rollout_rows_are_distributions(deeper):
    found = daam_flow.baselines(deeper.tapes, deeper.targets)
    assert torch.allclose(found["rollout"].sum(-1), torch.ones(6, 2, dtype=torch.float64))
    last = (deeper.tapes[-1].attention.mean(1)[:, 0] + F.one_hot(torch.tensor(0), 41)) / 2
    assert relative(found["rollout"][-1], last) < TOLERANCE
    residual = [(t.attention.mean(1) + torch.eye(41, dtype=torch.float64)) / 2 for t in deeper.tapes]
    assert relative(found["rollout"][3], (residual[5] @ residual[4] @ residual[3])[:, 0]) < TOLERANCE
    assert found["gradcam"].shape == (len(deeper.targets), 2, 41)


def test_detector_targets():
    model = kfd.make_kfd(5, False)
    image = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(5)).double()
    detector = daam_kfd.detector_of(model)
    tapes = daam_tape.run(detector.encoder, image)
    states = [t.output for t in tapes]
    forgery, of_class_token, *_ = detector.targets(states[-1].detach(), 5)
    assert relative(forgery.value(states), model(image)[0][:, 1]) < TOLERANCE
    # the flow of the forgery score from its seeds at the taps alone
    seeds = daam_kfd.seeds(states, forgery)
    assert sorted(seeds) == kfd.TAPS
    from_seeds = torch.autograd.grad([states[b] for b in seeds], [t.mixed for t in tapes[:3]], list(seeds.values()), retain_graph=True)
    exact = daam_flow.reverse(tapes, forgery)
    for a, b in zip(from_seeds, exact[:3], strict=True):
        assert relative(a, b) < TOLERANCE
    assert exact[3].abs().max() == 0  # behind the last tap nothing is read
    assert list(daam_kfd.seeds(states, of_class_token)) == [kfd.TAPS[-1]]
    # p by finite differences of one patch token at the first tap
    step, token = 1e-6, [s.detach().clone() for s in states]
    values = []
    for sign in (1, -1):
        token[0] = states[0].detach().clone()
        token[0][:, 5, 7] += sign * step
        x = token[0]
        for b in range(1, 4):
            x = detector.encoder.blocks[b](x)
            token[b] = x
        values.append(forgery.value(token))
    total = torch.autograd.grad(forgery.value(states).sum(), states[0], retain_graph=True)[0][:, 5, 7]
    assert relative((values[0] - values[1]) / (2 * step), total) < 1e-4


def test_bundled_detector_is_the_stored_one():
    detector, image = daam_trained.detector(), daam_trained.crops()[:1]
    stored = torch.jit.load(str(daam_trained.WEIGHTS)).double()
    states = [t.output.detach() for t in daam_tape.run(detector.encoder, image)]
    assert relative(detector.forgery_score(states), stored(image)[0][:, 1]) < 1e-9


def test_renderings():  # 3.5
    growing = np.cumsum(np.random.default_rng(0).gamma(0.5, 1.0, (5, 6, 4)), axis=0)
    curved, linear = daam_render.sigmoid(growing), daam_render.linear(growing)
    for b, m in enumerate(growing):
        assert curved[b].min() == 0 and curved[b].max() == 255
        order = np.argsort(m.ravel())
        assert (np.diff(curved[b].ravel()[order].astype(int)) >= 0).all()
    assert linear[-1].max() in (254, 255) and linear[0].max() < linear[-1].max()
    for render in (daam_render.sigmoid, daam_render.linear):
        assert not render(np.zeros((3, 4, 4))).any()
        assert not render(np.full((3, 4, 4), 2.5)).any()
    enlarged = daam_render.enlarge(curved[-1], 30, 50)
    assert enlarged.shape == (50, 30) and enlarged.max() <= 255
    wide = np.stack([np.linspace(0, 8, 9).reshape(3, 3), np.linspace(8, 9, 9).reshape(3, 3)])
    assert daam_render.linear(wide)[0].max() <= 255  # 255*ratio is 2040 here: clipped, not wrapped


def test_memory_bank_votes():
    bank = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 1, 0], [0, 0, 1]])
    labels = np.array([7, 7, 2, 2])
    weights, winner = daam_weights.vote_weights(np.array([[2.0, 0.5, 0.1]]), bank, labels, k=3)
    assert winner.tolist() == [7]
    unit = np.array([2.0, 0.5, 0.1]) / np.linalg.norm([2.0, 0.5, 0.1])
    q = unit * bank[:2].mean(axis=0)
    np.testing.assert_allclose(weights[0], (q - q.min()) / (q.max() - q.min()), atol=1e-12)
    # three neighbours at a cosine of .85 outvote one at .9
    rows = np.array([[c, np.sqrt(1 - c * c)] for c in (0.9, 0.85, 0.85, 0.85)])
    assert daam_weights.vote_weights(np.array([[1.0, 0.0]]), rows, np.array([1, 5, 5, 5]))[1].tolist() == [5]
    constant, _ = daam_weights.vote_weights(np.array([[1.0, 1.0]]), np.array([[0.5, 0.5]]) * 2**0.5, np.array([0]))
    assert constant.tolist() == [[1.0, 1.0]]
