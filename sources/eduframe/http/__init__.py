"""One GET at a time: retried, checked, page after page. Imports `limits`."""
