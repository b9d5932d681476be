"""What a person sees: the report, the terminal."""
