"""What a launch leaves for those who ask later who ran what."""
