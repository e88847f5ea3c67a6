"""Sequential loops over the tape, compiled by numba, each carrying an explicit state."""
