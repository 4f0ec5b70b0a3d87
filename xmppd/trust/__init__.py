"""Who is at the other end, and how do we know."""
