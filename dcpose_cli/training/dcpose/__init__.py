"""Training of DCPose."""
