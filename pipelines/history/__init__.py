"""Finished days: what they are made of, how they are rebuilt, compared, sealed and kept."""
