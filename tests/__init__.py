"""The tests: `unit`, `net`, `db`, `migration`, `acceptance`, and what supports them."""
