"""Login through twisted.cred: realm and checkers."""
