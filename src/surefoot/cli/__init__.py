"""The command line: one command a file, each of which reads arguments, calls, and prints."""
