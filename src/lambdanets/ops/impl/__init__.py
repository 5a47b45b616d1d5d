"""One module an order of contraction; orders never import each other."""
