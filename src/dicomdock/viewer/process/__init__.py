"""What runs beside the viewer, in processes of its own."""
