"""For whoever writes profiles: what they may say, for programs and people, and one to begin with."""
