"""What `tools/bench` measures: a module for each command, and what they share."""
