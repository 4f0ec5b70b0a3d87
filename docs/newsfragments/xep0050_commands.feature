Ad-hoc commands (XEP-0050); those of administrators are listed for nobody else.
