"""Reading and writing AnnData files in pieces."""
