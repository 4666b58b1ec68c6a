"""What a model's confidence is worth: measured, compared, diagnosed, repaired."""
