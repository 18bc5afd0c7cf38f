"""Tests of the images, and of the whole system in containers."""
