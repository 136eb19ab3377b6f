"""The detector's modules: sizes of the paper, scripting, LoRA, layer order."""

import pytest
import torch

from kfd_model import KFD, Classifier, Locator, LoRALinear, PromptLearner, VisionTransformer, add_lora, merge_lora

torch.set_num_threads(1)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small_kfd(seed: int = 0) -> KFD:
    torch.manual_seed(seed)
    encoder = VisionTransformer(image=56, patch=14, width=24, depth=3, heads=3, hidden=48)
    kfd = KFD(encoder, [0, 2], embedding=8, map_size=64)
    for module in kfd.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # negative weights: order of pooling and BatchNorm matters
            module.weight.data.normal_()
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return kfd.eval()


def test_heads_have_the_papers_sizes():
    with torch.device("meta"):
        assert parameters(Locator()) == 14_978
        assert parameters(Classifier()) == 1_237_298
        assert parameters(PromptLearner()) == 108_065_421
        assert sum(p.numel() for p in KFD(VisionTransformer(width=1280, depth=4, heads=16, hidden=5120), [1, 2, 3], 1024).adapters.parameters()) == 3_935_232


def test_forward_gives_probabilities_and_a_map():
    p, s = small_kfd()(torch.randn(3, 3, 56, 56))
    assert p.shape == (3, 2) and s.shape == (3, 2, 64, 64)
    torch.testing.assert_close(p.sum(1), torch.ones(3))
    torch.testing.assert_close(s.sum(1), torch.ones(3, 64, 64))


def test_script_equals_eager_and_keeps_what_the_engine_reads():
    kfd, x = small_kfd(), torch.randn(2, 3, 56, 56)
    scripted = torch.jit.script(kfd)
    with torch.inference_mode():
        for eager, script in zip(kfd(x), scripted(x)):
            torch.testing.assert_close(eager, script, atol=1e-6, rtol=0)
        torch.testing.assert_close(scripted.visual_prompt(x).norm(dim=1), torch.ones(2))
    assert scripted.taps == [0, 2] and scripted.logit_scale == 100.0
    assert {"encoder", "adapters", "locator", "classifier"} == {name for name, _ in scripted.named_children()}
    assert scripted.encoder.blocks.__getattr__("0").attn.num_heads == 3


def test_similarities_are_scaled_cosines_in_row_major_order():
    kfd, x = small_kfd(), torch.randn(1, 3, 56, 56)
    tapped = kfd.tapped_tokens(x)
    similarity = kfd.patch_similarities(tapped)[1]
    feature = kfd.adapters[1](tapped[1][0, 1 + 4 * 2 + 3])  # row 2, column 3 of the 4 x 4 grid
    expected = 100 * torch.nn.functional.cosine_similarity(feature[None], kfd.class_embeddings)
    torch.testing.assert_close(similarity[0, :, 2, 3], expected)


def test_classifier_pools_before_batchnorm():
    branch = Classifier(1).meta_net[0]
    assert [type(layer).__name__ for layer in branch[:4]] == ["Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d"]


def test_prompt_learner_gives_nine_tokens_of_the_models_width():
    learner = PromptLearner(levels=2, llm_width=32).eval()
    maps = [torch.randn(2, 2, 224, 224) for _ in range(2)]
    p, s = torch.rand(2, 2), torch.rand(2, 2, 224, 224)
    prompts = learner(maps, s, p)
    assert prompts.shape == (2, 9, 32)
    torch.testing.assert_close(torch.jit.script(learner)(maps, s, p), prompts)
    assert not torch.allclose(learner(maps, s, p.flip(1)), prompts)


def test_lora_starts_as_the_wrapped_layer_and_merges_exactly():
    encoder, x = VisionTransformer(28, 14, 24, 2, 3, 48).eval(), torch.randn(2, 3, 28, 28)
    before = encoder(x)
    assert len(add_lora(encoder, 4)) == 4
    torch.testing.assert_close(encoder(x), before)
    for module in encoder.modules():
        if isinstance(module, LoRALinear):
            module.lora_B.data.normal_()
    changed = encoder(x)
    assert not torch.allclose(changed, before)
    assert merge_lora(encoder) == 4
    torch.testing.assert_close(encoder(x), changed, atol=1e-5, rtol=1e-5)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="ascending block indices"):
        KFD(VisionTransformer(28, 14, 24, 2, 3, 48), [1, 5])
    with pytest.raises(ValueError, match="multiple of the patch side"):
        VisionTransformer(image=225)
    with pytest.raises(ValueError, match="found none"):
        add_lora(torch.nn.Sequential(torch.nn.ReLU()), 4)
