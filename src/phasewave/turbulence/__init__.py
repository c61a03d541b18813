"""Maximum-entropy models of stationary fields."""
