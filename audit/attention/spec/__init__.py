"""The specs module that `astrobio-audit spec` prints, and what it is made of."""
