"""What both sides say about media, and the plan that a relay worker carries out."""
