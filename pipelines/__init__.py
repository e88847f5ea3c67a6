"""What is computed and what it is computed on: knows neither Bytewax nor Dagster nor any socket."""
