"""The kernel of a test (operations, generator, interpreter, recorder) and, above all else, its composition."""
