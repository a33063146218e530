"""Building the images of the table."""
