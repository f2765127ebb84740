"""What `extract` writes: images as layouts and archives, files, repositories, and everything for the seed phase."""
