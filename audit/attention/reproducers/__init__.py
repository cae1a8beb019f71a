"""Scripts that show a defect with torch and the target alone."""
