"""What each destination needs of its own: merges, copies, keys, upgrades. Imports `store`."""
