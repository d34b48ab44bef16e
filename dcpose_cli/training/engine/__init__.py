"""The optimisation loop that all trainings share."""
