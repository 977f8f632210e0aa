"""What the sync keeps in the destination about itself: run log and state. Imports no room here."""
