"""Models that others published: which there are, how they are downloaded, and where they are kept."""
