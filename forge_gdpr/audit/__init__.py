"""The record: events tied to each other by hashes, appended and verified, never changed."""
