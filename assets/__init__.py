"""The batch: Dagster assets, checks, schedules, sensors."""
