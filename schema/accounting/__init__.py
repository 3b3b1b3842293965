"""What is here and what is left, in numbers: tallies, rates, and the sheet of a migration."""
