"""What is kept of how PACSs are spared: `breakers` says from which nothing is moved, and why.

Import the models of `breakers`.
"""
