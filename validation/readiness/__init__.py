"""The readiness report: every area through one plan."""
