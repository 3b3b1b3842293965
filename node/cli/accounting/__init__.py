"""The commands that give account: report, expect and sample."""
