"""What is wrong with profiles, told from the files alone."""
