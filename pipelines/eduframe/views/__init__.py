"""The views for analysts: what they are, in which dataset, and how they are kept up to date."""
