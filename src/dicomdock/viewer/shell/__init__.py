"""The page around the features."""
