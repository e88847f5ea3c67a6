"""Agents: watchers on a schedule, each a pure function from tables to findings, which become rows of `alerts`."""
