"""Annotation projects: cases of a cohort, who annotates and reviews them, and what became of each."""
