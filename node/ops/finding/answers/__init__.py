"""The answers to one question: each is read, known again, and recorded."""
