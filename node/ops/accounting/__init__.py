"""What people ask of a migration: where each study stands, how long the rest takes, and samples."""
