"""Mutants of attention and training code: do the owner's tests, and this audit, catch them?"""
