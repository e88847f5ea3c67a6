"""Research: what is asked of the lake afterwards, as pure functions of frames."""
