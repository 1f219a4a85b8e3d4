"""What may be the matter with a file on a target: one module for each kind of trouble."""
