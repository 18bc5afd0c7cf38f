"""The programs that prove, tested."""
