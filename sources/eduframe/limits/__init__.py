"""How much may be asked: the request limit, over threads and runs. Imports no other room."""
