"""The search for the smallest, fastest model that keeps to constraints."""
