"""Tables in a destination: how they fit, how they are mended and upgraded, their keys."""
