"""The critic of group means: known distances, and a gradient that closes them."""

import numpy as np
import pytest
import torch

from counterwarp.core.settings import SimulatorSettings
from counterwarp.networks.classifier import Classifier
from counterwarp.networks.simulator import Simulator
from counterwarp.training.critic import GroupMeanCritic
from counterwarp.training.simulator import simulator_losses

SHAPE = (16, 16)


def groups(scans=6):
    """Controls and cases around means that are 1 apart in one corner."""
    random = torch.Generator().manual_seed(0)
    means = torch.randn(2, 1, *SHAPE, generator=random)
    means[1] = means[0]
    means[1, :, :4, :4] += 1
    is_case = torch.arange(scans) % 2
    return means, is_case, means[is_case] + 0.1 * torch.randn(scans, 1, *SHAPE, generator=random)


def test_groups_that_have_changed_places_are_at_distance_0():
    means, is_case, images = groups()
    critic = GroupMeanCritic(means)
    assert critic.distance() == pytest.approx(1)
    exchanged = images + (means[1 - is_case] - means[is_case])
    for _ in range(100):
        loss = critic(images, exchanged, is_case)
    assert critic.distance() < 1e-4
    assert abs(float(loss)) < 1e-4


def test_its_gradient_points_from_the_one_mean_to_the_other():
    means, is_case, images = groups()
    simulated = images.clone().requires_grad_()
    GroupMeanCritic(means)(images, simulated, is_case).backward()
    step = -simulated.grad
    corner = step[:, 0, :4, :4].mean((1, 2))
    assert (corner[is_case == 0] > 0).all() and (corner[is_case == 1] < 0).all()
    assert step[:, 0, 4:, 4:].abs().max() < 1e-6


def test_a_batch_of_one_group_says_nothing_of_the_other():
    means, is_case, images = groups()
    critic = GroupMeanCritic(means)
    controls = images[is_case == 0]
    critic(controls, controls + 1, torch.zeros(len(controls)))
    assert critic.change[0].abs().min() > 0 and not critic.change[1].any()


def test_only_scans_that_go_to_the_other_group_are_judged():
    """A case that is injected has no group to be like."""
    torch.manual_seed(0)
    means, _, images = groups(4)
    classifier = Classifier(torch.zeros(1, 1, *SHAPE), 4).eval().requires_grad_(False)
    seen = []

    class Listening(GroupMeanCritic):
        def forward(self, images, simulated, is_case):
            seen.append((images, is_case))
            return super().forward(images, simulated, is_case)

    is_case = torch.tensor([0.0, 0.0, 1.0, 0.0])
    weights = SimulatorSettings(smoothness=3.0, magnitude=0.5, cycle=1.0, critic=2.0)
    losses = simulator_losses(
        Simulator(2, 8), classifier, images, (1.0, 1.0), torch.ones(SHAPE), 1.0, weights, Listening(means), is_case
    )
    judged, groups_ = seen[0]
    np.testing.assert_array_equal(groups_, [0, 0, 0, 1])
    assert torch.equal(judged, images[[0, 1, 3, 2]])
    without = losses["hinge"] + 3 * losses["smoothness"] + 0.5 * losses["magnitude"] + losses["cycle"]
    assert losses["total"].item() == pytest.approx(float((without + 2 * losses["critic"]).detach()))
