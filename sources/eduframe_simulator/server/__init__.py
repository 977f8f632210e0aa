"""The API over HTTP: paths, parameters, paging, limits and faults. Imports `provider` alone."""
