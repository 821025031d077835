"""What is put into an export for people who don't have this program: a verifier and how to use it.

Nothing here imports anything of ours, and nothing of ours imports `verify`: two verifiers that
share code share faults. The exporter copies the files as they are.
"""
