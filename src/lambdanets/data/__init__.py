"""Images and labels: where they come from, in which order they are seen, how they are varied. Knows no model."""
