"""What the next run reads, on which budget: pure functions of numbers. Imports no other room."""
