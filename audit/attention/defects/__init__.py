"""From the failures of one subject to its defects: one for each mistake, with the script that shows it."""
