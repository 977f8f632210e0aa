"""The row models of the Eduframe API, and SQL for analysts. Imports nothing of ours."""
