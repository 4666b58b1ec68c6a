"""What is asked of a network, and what can be answered: regions, properties, verdicts, files, replay."""
