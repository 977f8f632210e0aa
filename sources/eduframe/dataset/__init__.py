"""The dataset: how rows go in, and what is there already. Imports `reading` and `rows`."""
