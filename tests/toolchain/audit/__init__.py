"""The audit of what the project is made of."""
