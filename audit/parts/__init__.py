"""Parts of a plan: the plan as a document, what carries out a part of it, and merging parts into one report."""
