"""What `astrobio-audit init` writes into a project that begins to use the toolkit."""
