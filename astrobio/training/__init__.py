"""Training loops, one module per task; each runs as `python -m astrobio.training.<task>`."""
