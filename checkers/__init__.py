"""Pure functions of a history: what holds, what is broken, and why."""
