"""Commands of who reviews profiles, and what runs under them."""
