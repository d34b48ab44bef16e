"""Training of DSTA."""
