"""From a delivery to its decision: the way of one contact, and the face for handler authors."""
