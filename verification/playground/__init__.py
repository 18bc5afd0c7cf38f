"""The crash playground: both programs run side by side, and a page breaks them."""
