"""`doctor`: everything that resources name is tried, before anything moves. Changes nothing."""
