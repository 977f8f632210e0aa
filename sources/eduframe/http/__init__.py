"""One GET at a time: limited, retried, checked, page after page. Imports no other room."""
