"""Losses on features against the formulas, written again in numpy and plain loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ros2_vodistill.errors import VodistillError
from training.losses import FEATURES, Features, build_features
from training.losses.attention import GlobalContext, NonLocal, area_weights, channel_attention, spatial_attention

Array = NDArray[np.float64]
MAPS = [name for name in FEATURES if name not in ("ht", "aht")]


def maps(seed: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, 4, 5, dtype=torch.float64, generator=generator)


OBJECTS = torch.zeros(2, 4, 5, dtype=torch.int64)
OBJECTS[0, 0, :3], OBJECTS[0, 2:, 4], OBJECTS[1, 1:3, 1:3] = 1, 7, 1


def batch(student: Tensor, teacher: Tensor, **changes: Any) -> Features:
    return Features((student,), (teacher,), **changes)


def module(name: str, student: int = 3, teacher: int = 3, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_features(name, (student,), (teacher,), **options).double()


def value(name: str, student: Tensor, teacher: Tensor, **options: Any) -> float:
    return module(name, student.shape[1], teacher.shape[1], **options)(batch(student, teacher, objects=OBJECTS)).item()


# Hints.


def test_hints_by_hand() -> None:
    student = torch.tensor([[1.0, 2.0], [0.0, 0.0]]).double()
    teacher = torch.tensor([[1.0, 4.0], [3.0, 4.0]]).double()
    confidence = torch.tensor([0.5, -0.25]).double()
    assert module("ht", 2, 2)(batch(student, teacher)).item() == (4 + 25) / 2
    assert module("aht", 2, 2)(batch(student, teacher, confidence=confidence)).item() == (0.5 * 4 - 0.25 * 25) / 2
    ones = torch.ones(2).double()
    assert module("aht", 2, 2)(batch(student, teacher, confidence=ones)).item() == (4 + 25) / 2


def test_attentive_hints_need_a_confidence() -> None:
    with pytest.raises(VodistillError, match="confidence"):
        module("aht", 2, 2)(batch(torch.zeros(2, 2).double(), torch.zeros(2, 2).double()))


def test_a_regressor_learns_where_widths_differ() -> None:
    loss = module("ht", 2, 3)
    weight, bias = (p.detach().numpy() for p in loss.parameters())
    student, teacher = torch.randn(4, 2).double(), torch.randn(4, 3).double()
    expected = ((teacher.numpy() - student.numpy() @ weight.T - bias) ** 2).sum(1).mean()
    assert loss(batch(student, teacher)).item() == pytest.approx(expected)
    assert not list(module("ht", 3, 3).parameters())


@torch.no_grad()
def test_a_regressor_may_be_asked_for_where_widths_agree() -> None:
    """Chen's hint goes through its adaptation layer always."""
    loss = module("ht", 2, 2, regressor=True)
    (weight, bias), confidence = loss.parameters(), torch.tensor([0.5, 1.0]).double()
    student, teacher = torch.randn(2, 2).double(), torch.randn(2, 2).double()
    errors = ((teacher.numpy() - student.numpy() @ weight.numpy().T - bias.numpy()) ** 2).sum(1)
    assert loss(batch(student, teacher)).item() == pytest.approx(errors.mean())
    attentive = module("aht", 2, 2, regressor=True)
    assert attentive(batch(student, teacher, confidence=confidence)).item() == pytest.approx(errors @ [0.5, 1.0] / 2)


# Raw features.


def test_naive_and_its_decomposition() -> None:
    """(1/N)[(m - n)^2 + 2 m n (1 - cos)]: the naive loss is magnitude and angle."""
    student, teacher = maps(1), maps(2)
    naive, magnitude = [], []
    for f_s, f_t in zip(student.flatten(1).numpy(), teacher.flatten(1).numpy(), strict=True):
        n, m = np.linalg.norm(f_s), np.linalg.norm(f_t)
        naive.append(((m - n) ** 2 + 2 * m * n * (1 - f_s @ f_t / (m * n))) / f_s.size)
        magnitude.append((m - n) ** 2 / f_s.size)
    assert value("naive", student, teacher) == pytest.approx(np.mean(naive))
    assert value("md", student, teacher) == pytest.approx(np.mean(magnitude))


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_angles_in_all_readings() -> None:
    student, teacher = maps(1), maps(2)
    s, t = student.numpy(), teacher.numpy()
    layer = [1 - cosine(s[i].ravel(), t[i].ravel()) for i in range(2)]
    channel = [1 - cosine(s[i, c].ravel(), t[i, c].ravel()) for i in range(2) for c in range(3)]
    pixel = [1 - cosine(s[i, :, y, x], t[i, :, y, x]) for i in range(2) for y in range(4) for x in range(5)]
    for name, expected in (("lad", layer), ("cad", channel), ("pixel_angle", pixel)):
        assert value(name, student, teacher) == pytest.approx(np.mean(expected)), name


def test_angles_ignore_lengths_and_magnitude_ignores_directions() -> None:
    teacher = maps(1)
    longer = teacher * torch.tensor([2.0, 5.0]).double().view(2, 1, 1, 1)
    for name in ("lad", "cad", "pixel_angle"):
        assert value(name, longer, teacher) == pytest.approx(0, abs=1e-12)
    assert value("md", longer, teacher) > 0.1
    assert value("md", teacher.flip(3), teacher) == pytest.approx(0, abs=1e-12)
    assert value("lad", -teacher, teacher) == pytest.approx(2)
    per_channel = teacher * torch.tensor([1.0, 2.0, 3.0]).double().view(1, 3, 1, 1)
    assert value("cad", per_channel, teacher) == pytest.approx(0, abs=1e-12) != value("lad", per_channel, teacher)


def test_channel_wise_divergence() -> None:
    student, teacher, tau = maps(1), maps(2), 2.5
    total = 0.0
    for i, c in itertools.product(range(2), range(3)):
        p, q = (np.exp(x.numpy()[i, c].ravel() / tau) for x in (teacher, student))
        p, q = p / p.sum(), q / q.sum()
        total += (p * np.log(p / q)).sum()
    expected = tau**2 / (2 * 3) * total
    assert value("cwd", student, teacher, temperature=tau) == pytest.approx(expected)
    assert value("cwd", teacher + 3.0, teacher) == pytest.approx(0, abs=1e-12)  # only the shape of a channel counts


# Attention.


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


def attentions(f: Array, temperature: float) -> tuple[Array, Array]:
    """(1, H, W) and (C, 1, 1) of one sample (C, H, W)."""
    _, height, width = f.shape
    pixels = height * width * softmax(np.abs(f).mean(0).ravel() / temperature).reshape(1, height, width)
    channels = len(f) * softmax(np.abs(f).mean((1, 2)) / temperature)[:, None, None]
    return pixels, channels


def test_attentions() -> None:
    feature = maps(1)
    for i in range(2):
        pixels, channels = attentions(feature[i].numpy(), 0.7)
        np.testing.assert_allclose(spatial_attention(feature, 0.7)[i], pixels)
        np.testing.assert_allclose(channel_attention(feature, 0.7)[i], channels)
    torch.testing.assert_close(spatial_attention(feature, 0.7).mean((1, 2, 3)), torch.ones(2).double())
    torch.testing.assert_close(channel_attention(feature, 0.7).mean((1, 2, 3)), torch.ones(2).double())


def test_non_local_block() -> None:
    torch.manual_seed(0)
    block, x = NonLocal(3, 2).double(), maps(1)
    q, k, v = (layer(x).detach().flatten(2).numpy() for layer in (block.query, block.key, block.value))
    weight, bias = block.out.weight.detach().numpy()[:, :, 0, 0], block.out.bias.detach().numpy()
    for i in range(2):
        mixed = np.stack([v[i] @ softmax(q[i][:, pixel] @ k[i]) for pixel in range(20)], 1)
        expected = x[i].flatten(1).numpy() + weight @ mixed + bias[:, None]
        np.testing.assert_allclose(block(x)[i].detach().flatten(1).numpy(), expected)


@torch.no_grad()
def test_fkd_by_hand() -> None:
    student, teacher = maps(1), maps(2)
    terms = {"feature": 0.0, "attention": 0.0, "relation": 0.0}
    loss = module("fkd").levels[0]
    s, t = student.numpy(), teacher.numpy()
    masked = 0.0
    for i in range(2):
        (ps, cs), (pt, ct) = attentions(s[i], 0.5), attentions(t[i], 0.5)
        masked += ((s[i] - t[i]) ** 2 * (ps + pt) / 2 * (cs + ct) / 2).sum()
    terms["feature"] = math.sqrt(masked)
    channels = loss.adapt_channels(student.mean((2, 3))) - teacher.mean((2, 3))
    pixels = loss.adapt_pixels(student.mean(1, keepdim=True)) - teacher.mean(1, keepdim=True)
    terms["attention"] = float(np.linalg.norm(channels) + np.linalg.norm(pixels.numpy().ravel()))
    relation = loss.adapt_relation(loss.ours(student)) - loss.theirs(teacher)
    terms["relation"] = float(np.linalg.norm(relation.numpy().ravel()))
    off = dict.fromkeys(terms, 0.0)
    for name, expected in terms.items():
        assert value("fkd", student, teacher, **{**off, name: 1.0}) == pytest.approx(expected), name
    total = 7e-5 * terms["feature"] + 4e-3 * terms["attention"] + 7e-5 * terms["relation"]
    assert value("fkd", student, teacher) == pytest.approx(total)


@pytest.mark.parametrize(("teacher", "inner", "found"), [(8, 64, 4), (8, 2, 2), (1, 64, 1)])
def test_relations_are_of_half_of_the_channels_at_most(teacher: int, inner: int, found: int) -> None:
    loss = module("fkd", teacher=teacher, inner=inner).levels[0]
    assert loss.ours.query.out_channels == loss.theirs.query.out_channels == found


def test_the_masks_of_fkd_are_constants() -> None:
    student, teacher = maps(1), maps(2)
    off = dict.fromkeys(("attention", "relation"), 0.0)
    loss, found = module("fkd", feature=1.0, **off), student.clone().requires_grad_()
    loss(batch(found, teacher)).backward()
    mask = torch.stack([spatial_attention(x, 0.5) * 0.5 for x in (student, teacher)]).sum(0)
    mask = mask * torch.stack([channel_attention(x, 0.5) * 0.5 for x in (student, teacher)]).sum(0)
    fixed = student.clone().requires_grad_()
    ((fixed - teacher).square() * mask).sum().sqrt().backward()
    torch.testing.assert_close(found.grad, fixed.grad)


def test_area_weights() -> None:
    on_objects, on_background = area_weights(OBJECTS, (4, 5))
    expected = torch.zeros(2, 1, 4, 5)
    expected[0, 0, 0, :3], expected[0, 0, 2:, 4], expected[1, 0, 1:3, 1:3] = 1 / 3, 1 / 2, 1 / 4
    torch.testing.assert_close(on_objects, expected)
    torch.testing.assert_close(on_background, (OBJECTS == 0)[:, None] / torch.tensor([15.0, 16.0]).view(2, 1, 1, 1))
    # every object weighs one in all, and the background too; a mask of another size is resampled
    torch.testing.assert_close(on_objects.sum((1, 2, 3)), torch.tensor([2.0, 1.0]))
    large = OBJECTS.repeat_interleave(8, 1).repeat_interleave(8, 2)
    torch.testing.assert_close(area_weights(large, (4, 5)), (on_objects, on_background))
    torch.testing.assert_close(area_weights(OBJECTS[1:] > 0, (4, 5))[0], on_objects[1:])


def test_no_objects_is_all_background() -> None:
    on_objects, on_background = area_weights(torch.zeros(1, 4, 5, dtype=torch.bool), (2, 2))
    assert not on_objects.any()
    assert on_background.tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]


def test_fgd_by_hand() -> None:
    student, teacher = maps(1), maps(2)
    s, t = student.numpy(), teacher.numpy()
    terms = dict.fromkeys(("objects", "background", "attention", "relation"), 0.0)
    areas = [x.double().numpy() for x in area_weights(OBJECTS, (4, 5))]
    for i in range(2):
        (ps, cs), (pt, ct) = attentions(s[i], 0.5), attentions(t[i], 0.5)
        difference = (s[i] - t[i]) ** 2 * pt * ct
        terms["objects"] += (difference * areas[0][i]).sum() / 2
        terms["background"] += (difference * areas[1][i]).sum() / 2
        terms["attention"] += (np.abs(ps - pt).sum() + np.abs(cs - ct).sum()) / 2
        terms["relation"] += ((s[i] - t[i]) ** 2).sum() / 2  # both contexts start as the identity
    off = dict.fromkeys(terms, 0.0)
    for name, expected in terms.items():
        assert value("fgd", student, teacher, **{**off, name: 1.0}) == pytest.approx(expected, rel=1e-6), name
    weights = {"objects": 1e-3, "background": 5e-4, "attention": 1e-3, "relation": 5e-6}
    total = sum(weight * terms[name] for name, weight in weights.items())
    assert value("fgd", student, teacher) == pytest.approx(total, rel=1e-6)


def test_global_context() -> None:
    torch.manual_seed(0)
    block, x = GlobalContext(6).double(), maps(1, 6)
    nn.init.normal_(block.transform[-1].weight)
    mask = block.mask(x).detach().numpy().reshape(2, -1)
    for i in range(2):
        pooled = x[i].flatten(1).numpy() @ softmax(mask[i])
        added = block.transform(torch.from_numpy(pooled)[None])[0].detach().numpy()
        assert np.abs(added).min() > 0.01
        np.testing.assert_allclose(block(x)[i].detach().numpy(), x[i].numpy() + added[:, None, None])


def test_fgd_needs_masks() -> None:
    with pytest.raises(VodistillError, match="object masks"):
        module("fgd")(batch(maps(1), maps(2)))


# Masked generation.


def test_mgd_with_nothing_masked_is_the_generators_error() -> None:
    student, teacher = maps(1), maps(2)
    loss = module("mgd", dropped=0.0, alpha=0.5)
    expected = 0.5 * ((loss.levels[0].generator(student) - teacher) ** 2).sum().item() / 2
    assert loss(batch(student, teacher)).item() == pytest.approx(expected)


def test_mgd_masks_pixels_with_all_their_channels() -> None:
    """Through an identity in the generator's place, a pixel is either copied or lost."""
    loss = module("mgd", 2, 2, alpha=1.0, dropped=0.75)
    loss.levels[0].generator = nn.Identity()
    student = torch.full((1, 2, 100, 100), 3.0).double().requires_grad_()
    loss(batch(student, torch.zeros_like(student))).backward()
    kept = student.grad[0] != 0
    assert torch.equal(kept[0], kept[1])
    assert kept[0].double().mean().item() == pytest.approx(0.25, abs=0.02)


def test_mgd_masks_what_is_aligned() -> None:
    """Where all is masked, the generator sees nothing, not even what alignment adds."""
    loss = module("mgd", 3, 4, dropped=1.0)
    loss(batch(maps(1), maps(2, 4))).backward()
    assert not any(p.grad.any() for p in loss.levels[0].align.parameters())


def test_mgd_with_all_masked_teaches_the_student_nothing() -> None:
    student = maps(1).requires_grad_()
    module("mgd", dropped=1.0)(batch(student, maps(2))).backward()
    assert not student.grad.any()


# All of them.


@pytest.mark.parametrize("name", ["naive", "md", "lad", "cad", "pixel_angle", "cwd"])
def test_equal_features_cost_nothing(name: str) -> None:
    assert value(name, maps(1), maps(1)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", FEATURES)
def test_the_teacher_does_not_learn(name: str) -> None:
    vectors = name in ("ht", "aht")
    student, teacher = (torch.randn(2, 3) if vectors else maps(i, 3 + i).float() for i in (0, 1))
    student.requires_grad_()
    teacher.requires_grad_()
    loss = build_features(name, (student.shape[1],), (teacher.shape[1],))
    confidence = torch.rand(2, requires_grad=True)
    loss(batch(student, teacher, confidence=confidence, objects=OBJECTS)).backward()
    assert confidence.grad is None
    assert teacher.grad is None
    assert student.grad.any()


@pytest.mark.parametrize("name", [n for n in MAPS if n != "mgd"])
def test_gradients_are_the_derivatives(name: str) -> None:
    """With a 1x1 convolution between different channels; masked generation is random and left out. The masks of FKD
    are constants by definition."""
    teacher, options = maps(2, 4), {"feature": 0.0} if name == "fkd" else {}
    loss = module(name, 3, 4, **options).eval()

    def at(student: Tensor) -> Tensor:
        return loss(batch(student, teacher, objects=OBJECTS))

    assert torch.autograd.gradcheck(at, maps(1).requires_grad_())


@pytest.mark.parametrize("name", [n for n in MAPS if n != "review"])
def test_levels_add_up(name: str) -> None:
    students, teachers = (maps(1), maps(3, 2)), (maps(2), maps(4, 2))
    both = build_features(name, (3, 2), (3, 2)).double()
    torch.manual_seed(0)
    total = both(Features(students, teachers, objects=OBJECTS)).item()
    torch.manual_seed(0)
    parts = [
        level(s, t, batch(s, t, objects=OBJECTS)).item()
        for level, s, t in zip(both.levels, students, teachers, strict=True)
    ]
    assert total == pytest.approx(sum(parts))


def test_unknown_names_and_options_list_the_known() -> None:
    with pytest.raises(VodistillError, match=r"'crd'.*\n.*naive.*review"):
        build_features("crd", (3,), (3,))
    with pytest.raises(VodistillError, match=r"cwd.*tau.*\n.*temperature"):
        build_features("cwd", (3,), (3,), tau=1.0)
    with pytest.raises(VodistillError, match="corner"):
        build_features("lad", (3,), (3,), of="corner")
