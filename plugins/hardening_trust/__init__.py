"""Trust: which images may be used, and who has to have signed them."""
