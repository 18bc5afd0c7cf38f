"""Mutation: each promise of docs/guarantees.md is broken in a copy of the code, and its tests must notice."""
