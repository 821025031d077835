"""Watching: is the job alive, are the deadlines safe, is the machine set up. Changes nothing."""
