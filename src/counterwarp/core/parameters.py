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
    "case": {"type": "string", "description": "Label of the case group."},
    "control": {"type": "string", "description": "Label of the control group."},
    "skull_stripped": {"type": "string", "enum": ["yes", "no"], "description": "Are the scans brains already?"},
    "on_bad_scan": {
        "type": "string",
        "enum": ["skip", "stop"],
        "description": "Set an unusable scan aside and report it, or stop.",
    },
    "resolution": {"type": "number", "description": "Voxel of the network grid, mm."},
    "folds": {"type": "integer", "description": "Cross-validation folds, by participant."},
    "chunk_size": {"type": "integer", "description": "Scans per Jacobian export task."},
    "seed": {"type": "integer", "description": "Seed of every random choice."},
    "device": {"type": "string", "enum": ["cpu", "cuda"], "description": "Where the networks compute."},
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
NOT_IN_PIPELINE = {"simulation"}  # settings of simulate-cohort, which is no stage
