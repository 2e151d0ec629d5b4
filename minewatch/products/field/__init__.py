"""What goes into the field and comes back: a package of chosen alerts without a network, and visits with their photographs."""
