"""One nightly run: guards, claim, erase, record, close."""
