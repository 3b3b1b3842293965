"""What all commands share: options, configuration, output, progress, exit codes.

`start` is what a command does first, `output` and `progress` what it prints with, `exits` what it
ends with.
"""
