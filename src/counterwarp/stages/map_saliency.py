"""Stage MAP_SALIENCY: saliency baselines of every held-out scan of a fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from counterwarp.cohort.store import CohortStore
from counterwarp.core import images, layout
from counterwarp.core.files import BackgroundWriter
from counterwarp.core.provenance import stage_record
from counterwarp.core.settings import SaliencySettings
from counterwarp.explain import saliency
from counterwarp.networks.classifier import load_target_classifier


def map_saliency(
    cohort: Path, classifier: Path, fold: int, device: str, output: Path, settings: SaliencySettings, target: str = ""
) -> None:
    """Write one map per held-out scan and method, with its sidecar, and the record; of several case groups, of one."""
    inputs = {"cohort": cohort, "classifier": classifier, "fold": fold, "device": device, "target": target}
    with stage_record(output / f"saliency_fold-{fold}.json", "map_saliency", settings, **inputs) as record:
        store = CohortStore(cohort, target)
        network = load_target_classifier(classifier, target, device)
        methods = saliency.chosen(settings, network)
        generated_by = [{"Name": "counterwarp", "Version": record["version"]}]
        positions = store.positions(fold, held_out=True)
        with BackgroundWriter() as write:
            for start in range(0, len(positions), settings.batch_size):
                batch = positions[start : start + settings.batch_size]
                scans = torch.from_numpy(store.images[batch].astype(np.float32))[:, None].to(device)
                for method in methods:
                    found = saliency.attribute(method, network, scans, settings, store.grid.spacing)
                    maps = found[:, 0].float().cpu().numpy()
                    for scan_id, values in zip(store.index["scan_id"][batch], maps, strict=True):
                        sidecar = {**saliency.METHODS[method].sidecar, "Fold": fold, "GeneratedBy": generated_by}
                        write(images.save, output / layout.saliency(scan_id, method), values, store.grid, sidecar)
        record |= {"scans": len(positions), "methods": methods}
