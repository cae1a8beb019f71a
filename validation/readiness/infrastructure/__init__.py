"""What builds, checks and starts a project: workflows, scripts, containers, hooks and entry points."""
