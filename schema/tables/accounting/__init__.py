"""Tables of what is accounted for: what verifications have found of studies' files."""
