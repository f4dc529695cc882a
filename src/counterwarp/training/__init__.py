"""Training: the data, the augmentation, one loop, and the losses of classifier and simulator."""
