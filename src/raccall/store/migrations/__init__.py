"""How the tables came to be, step by step; applied when a server starts."""
