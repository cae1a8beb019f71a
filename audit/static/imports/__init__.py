"""Which modules of a target would fail to import in its interpreter, and why; the target is read and never imported.

`compile` turns one file into a small program of what matters at import; `interpreter` asks the target's Python for its
facts; `installed` finds what is on its path and `dependencies` what that imports itself; `importing` and `execute` run
the programs on those facts; `as_file` does so for files that are run; `forecast` makes the rows. `trial` alone runs
code, and only where the user asks for it.
"""
