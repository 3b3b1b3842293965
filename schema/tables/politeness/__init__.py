"""The tables of how gently PACSs are asked."""
