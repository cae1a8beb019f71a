"""Reports: one document, written as JSON; every other format projects it and computes nothing."""
