"""The parameters that Nextflow owns: their meaning. Their defaults are in nextflow.config and nowhere else."""

from __future__ import annotations

PARAMETERS: dict[str, dict] = {
    "help": {"type": "boolean", "description": "Print this and stop."},
    "input": {"type": "string", "description": "Samplesheet (CSV, TSV) or BIDS folder."},
    "outdir": {"type": "string", "description": "Folder for the results."},
    "until": {
        "type": "string",
        "enum": ["preprocess", "classifier", "simulator", "jacobians", "report"],
        "description": "Last stage to run.",
    },
    "truth": {"type": "string", "description": "Planted log-Jacobians of a simulated cohort, to measure against."},
    "group_column": {"type": "string", "description": "Column that holds the group."},
    "participant_label": {"type": "string", "description": "Only these participants, by commas."},
    "session_label": {"type": "string", "description": "Only these sessions, by commas."},
    "exclude": {"type": "string", "description": "Without these participants or scans, by commas."},
    "case": {"type": "string", "description": "Label of the case group, or of several by commas (MCI,AD)."},
    "control": {"type": "string", "description": "Label of the control group."},
    "skull_stripped": {"type": "string", "enum": ["yes", "no"], "description": "Are the scans brains already?"},
    "on_bad_scan": {
        "type": "string",
        "enum": ["skip", "stop"],
        "description": "Set an unusable scan aside and report it, or stop.",
    },
    "qc_decisions": {
        "type": "string",
        "description": "Reviewer's table that overrides the quality gate: scan_id, decision (PASS, FAIL), note.",
    },
    "match": {
        "type": "string",
        "description": "Match cases and controls one to one by these covariates, by commas (age,sex,site).",
    },
    "match_caliper": {
        "type": "number",
        "description": "Largest difference of a matched pair in a column of numbers, standard deviations.",
    },
    "head_template": {"type": "string", "description": "Whole-head T1w instead of the embedded mean head."},
    "head_mask": {"type": "string", "description": "Brain mask of the head template."},
    "brain_template": {
        "type": "string",
        "description": "T1w brain in MNI152 space, 0 outside, instead of the embedded one.",
    },
    "resolution": {"type": "number", "description": "Voxel of the network grid, mm."},
    "shape": {"type": "string", "description": "Voxels of the network grid instead, e.g. 64,64,64."},
    "folds": {"type": "integer", "description": "Cross-validation folds, by participant."},
    "chunk_size": {"type": "integer", "description": "Scans per Jacobian export task."},
    "seed": {"type": "integer", "description": "Seed of every random choice."},
    "device": {"type": "string", "enum": ["cpu", "cuda"], "description": "Where the networks are trained."},
    "maps_device": {
        "type": "string",
        "enum": ["cpu", "cuda"],
        "description": "Where the trained networks make the maps and saliency maps.",
    },
    "devices": {
        "type": "integer",
        "description": "GPUs (with --device cpu: processes) per node that share a training.",
    },
    "nodes": {"type": "integer", "description": "Slurm nodes that share a training."},
    "checkpoints": {
        "type": "string",
        "description": "Where a stopped training leaves off, seen by every node [checkpoints in the work folder].",
    },
    "container": {"type": "string", "description": "Image of the container profiles."},
    "slurm_partition": {"type": "string", "description": "Slurm partition."},
    "slurm_gpu_partition": {"type": "string", "description": "Slurm partition of the training tasks."},
    "slurm_gres": {
        "type": "string",
        "description": "Slurm generic resource of the GPU tasks, without number (gpu, gpu:a100).",
    },
    "slurm_account": {"type": "string", "description": "Slurm account."},
    "slurm_extra": {"type": "string", "description": "Further options of sbatch."},
}
# What may stand in the place of a group of settings.
INSTEAD = {
    "classifier": "Or a file, .pt2 or TorchScript: a trained classifier to explain instead of training one.",
    "simulator": "Or a folder, models/ of an earlier run: its networks explain these scans, and nothing is trained.",
}
NOT_IN_PIPELINE = {"simulation"}  # settings of simulate-cohort, which is no stage
