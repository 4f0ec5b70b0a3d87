Nobody else is let in for the rest of the minute from an address from which guest after guest floods.
