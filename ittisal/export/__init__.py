"""Libraries and graphs of the model for programs without Python."""
