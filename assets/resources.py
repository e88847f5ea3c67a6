"""What the assets are given: the lake."""

import dagster as dg


class LiveLake(dg.ConfigurableResource):  # type: ignore[type-arg]  # it takes its type argument nowhere in the docs
    """The lake the stream writes to, and the venues it records."""

    root: str
    venues: list[str]
