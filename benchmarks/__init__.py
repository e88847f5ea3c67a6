"""How fast it is: each module prints what it reached beside the goal and beside a peer measured in the same run."""
