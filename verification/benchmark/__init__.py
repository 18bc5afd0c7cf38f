"""What an order costs, beside the programs that one would write otherwise: `make bench`."""
