"""Building the images of the table, and saying what is in them."""
