"""Exact edits of the target's sources: what rules propose, checked, and written only where everything holds."""
