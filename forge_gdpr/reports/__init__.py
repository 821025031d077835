"""What the record says over a period: figures, and one file a format."""
