"""Saliency of classifiers whose attributions are known."""

import numpy as np
import pytest
import torch
from packed import write_packed_cohort
from torch import nn

from counterwarp.core import images, layout
from counterwarp.core.errors import InputError
from counterwarp.core.settings import SaliencySettings
from counterwarp.explain import saliency
from counterwarp.networks.classifier import Classifier, save_classifier
from counterwarp.stages.map_saliency import map_saliency

SHAPE = (4, 6, 8)
SPACING = (2.0, 3.0, 4.0)
SETTINGS = SaliencySettings(samples=25, noise=0.2, window=4.0, stride=4.0)
EVERY = SaliencySettings(methods=",".join(saliency.METHODS))


class Linear(nn.Module):
    """logit = <w, x>: the gradient is w whatever the image."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x):
        return (x[:, 0] * self.weight).sum(dim=(1, 2, 3))


class Square(nn.Module):
    """logit = |x|^2 / 2: the gradient is x."""

    def forward(self, x):
        return x.square().sum(dim=(1, 2, 3, 4)) / 2


class Features(nn.Module):
    """logit = mean of 3 x, with 3 x as its features."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv3d(1, 1, 1, bias=False)
        nn.init.constant_(self.features.weight, 3.0)

    def forward(self, x):
        return self.features(x).mean(dim=(1, 2, 3, 4))


@pytest.fixture
def weight():
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def scans():
    return torch.randn((3, 1, *SHAPE), generator=torch.Generator().manual_seed(1))


def attribute(method, classifier, scans):
    return saliency.attribute(method, classifier, scans, SETTINGS, SPACING)


@pytest.mark.parametrize("method", ["gradient", "smoothgrad"])
def test_gradients_keep_their_sign_and_each_scan_its_own_map(method, weight, scans):
    maps = attribute(method, Linear(weight), scans)
    assert maps.shape == scans.shape
    torch.testing.assert_close(maps, weight.expand(3, 1, *SHAPE))
    assert (maps < 0).any()


def test_smoothgrad_is_the_mean_gradient_of_noisy_scans(scans):
    before = torch.get_rng_state()
    off = attribute("smoothgrad", Square(), scans) - scans
    # the mean of 25 draws of 0.2 has a spread of 0.04; 576 voxels tell it within a tenth
    assert float(off.std()) == pytest.approx(0.04, rel=0.1)
    torch.testing.assert_close(off, attribute("smoothgrad", Square(), scans) - scans)
    assert torch.equal(torch.get_rng_state(), before)


def test_integrated_gradients_add_up_to_the_logit(weight, scans):
    torch.testing.assert_close(attribute("integratedGradients", Linear(weight), scans), weight * scans)
    found = attribute("integratedGradients", Square(), scans)
    torch.testing.assert_close(found, scans.square() / 2)  # the logit of a gray scan is 0


def test_occlusion_is_what_the_logit_loses_without_a_cube(weight, scans):
    maps = attribute("occlusion", Linear(weight), scans)
    product = (weight * scans)[:, 0].reshape(3, 2, 2, 6, 8)  # cubes of 4 mm: 2 x 1 x 1 voxels
    expected = product.sum(dim=2, keepdim=True).expand(-1, -1, 2, -1, -1).reshape(3, 1, *SHAPE)
    torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-5)  # differences of logits of about 10


def test_guided_gradcam_weighs_the_gradient_by_what_the_features_say_for_the_case(scans):
    gradient = 3 / scans[0].numel()
    features = 3 * scans
    cam = torch.relu(features / scans[0].numel())  # the logit's derivative by every feature is 1 / voxels
    torch.testing.assert_close(attribute("guidedGradcam", Features(), scans), gradient * cam)


def test_a_program_without_layers_goes_without_guided_gradcam(weight):
    assert saliency.chosen(EVERY, Features()) == list(saliency.METHODS)
    assert saliency.chosen(EVERY, Linear(weight)) == [name for name in saliency.METHODS if name != "guidedGradcam"]


def test_an_unknown_method_is_refused(weight):
    with pytest.raises(InputError, match=r"no method lime. There are gradient, smoothgrad"):
        saliency.chosen(SaliencySettings(methods="gradient, lime"), Linear(weight))


def test_every_held_out_scan_has_a_map_of_every_method(tmp_path):
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    write_packed_cohort(cohort, scans=6, side=120.0)
    torch.manual_seed(0)
    (tmp_path / "classifier").mkdir()
    save_classifier(Classifier(torch.zeros(1, 1, 16, 16, 16), 4), tmp_path / "classifier", width=4)
    map_saliency(cohort, tmp_path / "classifier", 0, "cpu", tmp_path / "maps", EVERY)
    assert len(list((tmp_path / "maps").glob("*.nii.gz"))) == 2 * len(saliency.METHODS)
    for method in saliency.METHODS:
        values, _ = images.load(tmp_path / "maps" / layout.saliency("sub-0", method))
        assert np.isfinite(values).all()
        if method != "guidedGradcam":  # whose features may speak against the case everywhere
            assert values.std() > 0
