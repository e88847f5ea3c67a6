"""Rules of the user: their language, their file, and the watch that holds closed minutes against them."""
