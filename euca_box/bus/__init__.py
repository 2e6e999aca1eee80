"""How roles ask each other: one interface, whatever lies between them."""
