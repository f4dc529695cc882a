"""One file per command: parse, one call, write. Heavy imports happen inside the functions."""
