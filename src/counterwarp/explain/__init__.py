"""What the trained networks say: log-Jacobian maps, saliency baselines, group maps, evaluation."""
