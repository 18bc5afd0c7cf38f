"""What the project is made of, and whether anything in it is known to be bad, or secret, or not ours to use."""
