"""News: bodies of feeds, journaled as they came, to rows of table `news`."""
