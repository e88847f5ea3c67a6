"""What is kept: the journal of raw frames and the lake of Delta tables."""
