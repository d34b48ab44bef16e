"""Where people are and who they are: detection, tracking, interpolation and confirmation of tracks."""
