"""VPIN and plain benchmarks as alarms of falls: events first, then the whole grid, then what VPIN adds to what is plainer."""
