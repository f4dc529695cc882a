"""One module per pipeline stage: read inputs, call the domain, write outputs and the stage's record."""
