"""Static analysis: what a target's source says, read as data and never imported.

Each stage is a pure function of the one before: `discover` finds the files, `record_of` turns one file into data,
`ProjectGraph` resolves names across files, `inventory` lists the models, and `analyse` runs them all. `analyse_files`
runs such a function on many files: in several processes, and only on those not known from earlier runs.
"""
