"""The map follows the effect to another place, and what the checks make of simulators that are refused."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sanity
from counterwarp.cohort.store import CohortStore
from counterwarp.explain.evaluation import signed_ncc
from recovery import Held, group_map

pytestmark = pytest.mark.science
SEED = 1
DATA = sanity.DATA["gaussians"]
QUICK = replace(
    DATA, classifier=replace(DATA.classifier, epochs=10), simulator=replace(DATA.simulator, steps=60)
)  # half a minute each on a core that is free


def explained(folder, moved):
    """Group map of held-out images, and the planted one."""
    cohort = QUICK.cohort(folder / "cohort", SEED, 1.0, moved)
    held = sanity.explain(QUICK, cohort, SEED, folder)
    return group_map(held), sanity.planted_map(cohort), CohortStore(cohort).brain_mask


def test_an_effect_elsewhere_moves_the_map(tmp_path):
    first, planted, mask = explained(tmp_path / "first", moved=False)
    moved, planted_there, _ = explained(tmp_path / "moved", moved=True)
    assert signed_ncc(first, planted, mask) > signed_ncc(first, planted_there, mask) + sanity.FOUND
    assert signed_ncc(moved, planted_there, mask) > signed_ncc(moved, planted, mask) + sanity.FOUND


def test_a_map_that_nobody_made_shows_nothing():
    """Right where nothing is to be found, wrong where something is."""
    names = ("planted", "null", "shuffled", "random weights", "moved", "moved, first place", "half")
    refused = {name: {"ncc": np.nan, "share": np.nan, "significant": np.nan} for name in names}
    nothing_found = {"planted": False, "moved": False, "half": False}
    assert sanity.judge(refused) == nothing_found | dict.fromkeys(("null", "shuffled", "random weights"), True)
    nothing = {"ncc": 0.0, "share": 0.0, "significant": 0.0}
    assert sanity.judge(refused | {"null": nothing})["null"]
    for found in ({"ncc": 0.5}, {"share": 0.3}, {"significant": 0.02}):
        assert not sanity.judge(refused | {"null": nothing | found})["null"]


@pytest.mark.parametrize(("more_in_cases", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_groups_differ_if_cases_are_asked_for_something_else(more_in_cases, share):
    """The same inject and remove of everybody is no difference, although cases are shown under remove."""
    random, held = np.random.default_rng(0), []
    for position in range(40):
        case = position % 2
        inject = torch.from_numpy(1 + more_in_cases * case + 0.1 * random.standard_normal((4, 4)))
        own, other = (-inject, inject) if case else (inject, -inject)
        results = (SimpleNamespace(log_jacobian=field) for field in (own, other))
        held.append(Held(position, case, -1 if case else 1, inject, *results))
    assert sanity.significant(held, np.ones((4, 4)), seed=0) == share
