"""The prompts feature of the viewer."""
