"""Which modules of a target would fail to import in its interpreter, and why; the target is read and never imported.

`compile` turns one file into a small program of what matters at import; `interpreter` asks the target's Python for its
facts; `installed` finds what is on its path; `simulate` runs the programs on those facts; `forecast` makes the rows.
"""
