"""The ground: what every room above may use."""
