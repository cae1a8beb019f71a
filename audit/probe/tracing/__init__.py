"""Follows a forward operation by operation and tells what attention it really computes: scale, axes, masks, backend."""
