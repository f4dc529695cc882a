"""Conditional convolution against its definition; networks' shapes, conditions and files."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from counterwarp.core.errors import InputError
from counterwarp.core.settings import SaliencySettings
from counterwarp.explain.saliency import attribute
from counterwarp.networks.backbones import ARCHITECTURES
from counterwarp.networks.classifier import Classifier, load_classifier, save_classifier
from counterwarp.networks.condconv import ConditionalConvolution
from counterwarp.networks.fields import DISPLACEMENT
from counterwarp.networks.grouped import CHUNK, CONVOLUTIONS, WIDE, weight_gradient
from counterwarp.networks.intensity import z_scored_as
from counterwarp.networks.parallel import BatchNorm
from counterwarp.networks.pooling import average_pool
from counterwarp.networks.simulator import Simulator, build_simulator, load_simulator, save_simulator, space_to_depth

SHAPES = {2: (16, 24), 3: (16, 24, 16)}
TOLERANCE = 1e-5  # float32 sums in another order


def per_sample(layer, x, condition):
    """CondConv as the paper defines it, one sample after the other."""
    out = []
    for sample, c in zip(x, condition, strict=True):
        alpha = torch.sigmoid(
            F.linear(torch.cat([sample.flatten(1).mean(1), c]), layer.routing.weight, layer.routing.bias)
        )
        weight = sum(a * w for a, w in zip(alpha, layer.weight, strict=True))
        bias = sum(a * b for a, b in zip(alpha, layer.bias, strict=True))
        out.append(CONVOLUTIONS[x.ndim - 2](sample[None], weight, bias, padding=1))
    return torch.cat(out)


@pytest.mark.parametrize("inputs", [4, WIDE])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_grouped_convolution_equals_the_per_sample_definition(dimensions, inputs):
    torch.manual_seed(0)
    layer = ConditionalConvolution(dimensions, inputs, 6, 1)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(3, inputs, *SHAPES[dimensions])
    condition = torch.tensor([[1.0], [-1.0], [1.0]])
    cotangent = torch.randn(3, 6, *SHAPES[dimensions])
    gradients = []
    outputs = []
    for function in (layer, lambda *a: per_sample(layer, *a)):
        layer.zero_grad()
        y = function(x, condition)
        (y * cotangent).mean().backward()
        outputs.append(y.detach())
        gradients.append([p.grad.clone() for p in layer.parameters()])
    assert torch.allclose(*outputs, atol=TOLERANCE)
    for a, b in zip(*gradients, strict=True):
        assert torch.allclose(a, b, atol=TOLERANCE)


@pytest.mark.parametrize("shape", [(16, 24), (40, 60), (16, 12, 14)])
def test_the_gradient_of_kernels_by_matrix_products_is_autograds(shape):
    torch.manual_seed(0)
    x, cotangent = torch.randn(2, 5, *shape), torch.randn(2, 3, *shape)
    kernels = torch.randn(2, 3, 5, *[3] * len(shape), requires_grad=True)
    y = torch.cat([CONVOLUTIONS[len(shape)](s[None], k, padding=1) for s, k in zip(x, kernels, strict=True)])
    (expected,) = torch.autograd.grad(y, kernels, cotangent)
    assert torch.allclose(weight_gradient(x, cotangent, 3), expected, atol=TOLERANCE * float(expected.abs().max()))
    assert shape == (16, 24) or x[0, 0].numel() > CHUNK  # more than one part


@pytest.mark.parametrize("dimensions", [2, 3])
def test_simulator_gives_a_velocity_per_condition_and_survives_its_file(dimensions, tmp_path):
    torch.manual_seed(0)
    simulator = Simulator(dimensions, width=8).eval()
    x = torch.randn(1, 1, *SHAPES[dimensions]).expand(2, -1, *SHAPES[dimensions])
    velocity = simulator(x, torch.tensor([1.0, -1.0]))
    assert velocity.shape == (2, dimensions, *(n // 2 for n in SHAPES[dimensions]))
    assert not torch.allclose(velocity[0], velocity[1])
    save_simulator(simulator, tmp_path, dimensions=dimensions, width=8)
    assert torch.equal(load_simulator(tmp_path)(x, torch.tensor([1.0, -1.0])), velocity)


@pytest.mark.parametrize("coupled", [True, False])
def test_the_published_simulator_gives_a_displacement_at_full_resolution(coupled, tmp_path):
    torch.manual_seed(0)
    settings = {"dimensions": 2, "width": 8, "coupled": coupled, "field": DISPLACEMENT}
    simulator = build_simulator(**settings).eval()
    x = torch.randn(1, 1, *SHAPES[2]).expand(2, -1, *SHAPES[2])
    displacement = simulator(x, torch.tensor([1.0, -1.0]))
    assert displacement.shape == (2, 2, *SHAPES[2])
    assert not torch.allclose(displacement[0], displacement[1])
    save_simulator(simulator, tmp_path, **settings)
    loaded = load_simulator(tmp_path)
    assert loaded.field == DISPLACEMENT
    assert torch.equal(loaded(x, torch.tensor([1.0, -1.0])), displacement)


def test_classifier_survives_its_file(tmp_path):
    torch.manual_seed(0)
    classifier = Classifier(torch.randn(1, 1, 16, 32, 16), width=8).eval()
    x = torch.randn(2, 1, 16, 32, 16)
    save_classifier(classifier, tmp_path, width=8)
    loaded = load_classifier(tmp_path)
    assert torch.allclose(loaded(x), classifier(x), atol=1e-6)
    assert not any(p.requires_grad for p in loaded.parameters())


def test_batch_norm_that_has_seen_scans_is_in_the_weights_of_the_frozen_classifier(tmp_path):
    torch.manual_seed(0)
    classifier = Classifier(torch.zeros(1, 1, 32, 32, 32), width=8)
    for _ in range(20):
        classifier(3 * torch.randn(4, 1, 32, 32, 32) + 1)
    save_classifier(classifier.eval(), tmp_path, width=8)
    x = torch.randn(2, 1, 32, 32, 32)
    frozen = load_classifier(tmp_path)
    assert not any(isinstance(module, BatchNorm) for module in frozen.modules())
    torch.testing.assert_close(frozen(x), classifier(x))


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 4), (5, 7, 6)])
def test_average_pool_is_that_of_torch(shape):
    x = torch.randn(2, 3, *shape, requires_grad=True)
    reference = {2: F.avg_pool2d, 3: F.avg_pool3d}[len(shape)](x, 2)
    torch.testing.assert_close(average_pool(x), reference)
    weights = torch.randn_like(reference)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (average_pool(x), reference))
    torch.testing.assert_close(ours, theirs)


def test_space_to_depth_keeps_every_value():
    x = torch.arange(2 * 4 * 6).reshape(1, 1, 2, 4, 6).float()
    y = space_to_depth(x)
    assert y.shape == (1, 8, 1, 2, 3)
    assert sorted(y.flatten().tolist()) == sorted(x.flatten().tolist())
    assert sorted(y[0, :, 0, 0, 0].tolist()) == sorted(x[0, 0, :2, :2, :2].flatten().tolist())


def test_separate_simulators_serve_each_direction_by_its_own_network(tmp_path):
    torch.manual_seed(0)
    both = build_simulator(2, 8, 3, coupled=False).eval()
    x, c = torch.randn(3, 1, *SHAPES[2]), torch.tensor([1.0, -1.0, 1.0])
    velocity = both(x, c)
    assert torch.allclose(velocity[1], both.remove(x[1:2], c[1:2])[0], atol=1e-6)
    assert torch.allclose(velocity[[0, 2]], both.inject(x[[0, 2]], c[[0, 2]]), atol=1e-6)
    velocity[1].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in both.inject.parameters())
    save_simulator(both, tmp_path, dimensions=2, width=8, coupled=False)
    assert torch.equal(load_simulator(tmp_path)(x, c), velocity)
    assert torch.equal(both(x[:1], c[:1]), both.inject(x[:1], c[:1]))  # a batch of one direction


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_gives_a_logit_and_survives_its_file(architecture, dimensions, tmp_path):
    torch.manual_seed(0)
    settings = {"width": 8, "architecture": architecture, "pooling": "maximum"}
    images = torch.randn(2, 1, *[32] * dimensions)
    network = Classifier(images[:1], **settings)
    network(images).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    save_classifier(network.eval(), tmp_path, **settings)
    again = load_classifier(tmp_path)
    logits = again(images)
    assert logits.shape == (2,) and torch.allclose(logits, network(images), atol=1e-4)  # folded norms round otherwise
    assert not any(
        isinstance(m, nn.modules.batchnorm._BatchNorm) and not isinstance(m, BatchNorm) for m in again.modules()
    )
    guided = attribute("guidedGradcam", again, images, SaliencySettings(), [4.0] * dimensions)
    assert guided.shape == images.shape and torch.isfinite(guided).all()


def test_the_logistic_regression_weighs_every_voxel_by_itself():
    torch.manual_seed(0)
    network = Classifier(torch.randn(1, 1, 8, 6, 4), architecture="linear").eval()
    images = torch.randn(2, 1, 8, 6, 4, requires_grad=True)
    assert torch.equal(network(images), network.head[-1].bias.expand(2))  # no weights before training
    nn.init.normal_(network.head[-1].weight)
    (gradient,) = torch.autograd.grad(network(images).sum(), images)
    torch.testing.assert_close(gradient, network.head[-1].weight.reshape(1, 1, 8, 6, 4).expand(2, -1, -1, -1, -1))


def test_an_architecture_that_needs_a_larger_grid_says_so():
    with pytest.raises(InputError, match=r"--classifier.architecture densenet121: a grid of 16x16x16 voxels is too"):
        Classifier(torch.zeros(1, 1, 16, 16, 16), architecture="densenet121")


def test_a_warped_scan_is_seen_z_scored_as_the_scan_was():
    """Healthy tissue is brighter in the scan of a larger ventricle, for z-scoring alone."""
    random = torch.Generator().manual_seed(0)
    tissue, brain = 100 + 10 * torch.rand(12, 12, 12, generator=random), torch.zeros(12, 12, 12, dtype=torch.bool)
    brain[2:10, 2:10, 2:10] = True

    def scanned(anatomy, gain, offset):
        scan = gain * anatomy + offset
        return (scan - scan[brain].mean()) / scan[brain].std(correction=0)

    small, large = tissue.clone(), tissue.clone()
    small[4:6, 4:8, 4:8] = large[4:8, 4:8, 4:8] = 20
    scan, expected = scanned(small, 3.0, 7.0), scanned(large, 0.5, -2.0)
    warped = (large - small[brain].mean()) / small[brain].std(correction=0)  # as resampling the scan gives it
    assert (warped - expected)[8:, 8:, 8:].abs().min() > 0.05
    seen = z_scored_as(scan[None, None], warped[None, None], brain)[0, 0]
    torch.testing.assert_close(seen, expected)
    torch.testing.assert_close(z_scored_as(scan[None, None], scan[None, None], brain)[0, 0], scan)
