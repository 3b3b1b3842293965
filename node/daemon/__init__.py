"""The long-running node: start, cycles on their schedule, drain, stop."""
