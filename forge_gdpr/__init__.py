"""Erases people from Alloy Forge, reliably and provably, every night."""
