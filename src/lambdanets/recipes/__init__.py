"""Recipes: Python functions that return the whole config of a run, each with what to expect of it."""
