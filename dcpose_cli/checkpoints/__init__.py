"""Model files: reading, writing, importing and exporting them."""
