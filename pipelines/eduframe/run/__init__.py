"""One run of the sync: plan, read, load, recover, report. Imports `destinations` and `store`."""
