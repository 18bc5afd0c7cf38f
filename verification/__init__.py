"""The programs that prove what the project promises."""
