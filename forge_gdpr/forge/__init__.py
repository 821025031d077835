"""Forge's Users API: the only room that speaks HTTP."""
