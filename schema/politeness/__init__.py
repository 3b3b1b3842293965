"""How gently PACSs are asked: `throttles` keeps where each node stands with each of them."""
