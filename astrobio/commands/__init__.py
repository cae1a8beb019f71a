"""The bodies of the commands of `astrobio`."""
