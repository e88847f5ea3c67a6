"""The demo exchange: a local server that speaks Binance USD-M's protocol, with a generated or a recorded market."""
