"""Where a study stands: at each of its sources (`states`, pure), and drawn from these (`whole`).

Whatever changes a source draws its study anew, so that both say the same at any time.
"""
