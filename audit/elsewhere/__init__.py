"""Other machines: how they are reached, and running the same command on one of them."""
