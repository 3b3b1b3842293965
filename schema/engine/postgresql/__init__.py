"""What holds for a PostgreSQL server alone."""
