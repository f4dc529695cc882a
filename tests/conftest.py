"""Fixtures shared by all tests: templates and one simulated head, built once per session."""

import nibabel as nib
import pytest

from counterwarp.cohort.planted import plant_effect
from counterwarp.core.settings import SimulationSettings
from launcher import write_tiny_cohort

HEAD_RESOLUTION = 3.0  # mm: quick


@pytest.fixture(scope="session")
def templates(tmp_path_factory):
    """Output folder of prepare-templates on an 8 mm network grid."""
    from counterwarp.stages.prepare_templates import prepare_templates

    folder = tmp_path_factory.mktemp("templates")
    prepare_templates(8.0, None, folder)
    return folder


@pytest.fixture(scope="session")
def effect():
    """The default planted effect."""
    return plant_effect(SimulationSettings())


@pytest.fixture(scope="session")
def head(tmp_path_factory, effect):
    """A simulated whole head (oblique grid) as a NIfTI file."""
    from counterwarp.brain.head_template import build_head_template
    from counterwarp.cohort.heads import simulate_head

    base = build_head_template()["head_in_mni"]
    scan = simulate_head(base, effect, 0.0, 1.0, HEAD_RESOLUTION, 3, SimulationSettings()).t1w
    path = tmp_path_factory.mktemp("head") / "sub-01_T1w.nii.gz"
    nib.save(scan, path)
    return path


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory):
    """Samplesheet of a cohort for stub runs."""
    return write_tiny_cohort(tmp_path_factory.mktemp("tiny"))
