"""The operator's desk: what people do to requests, each act on record."""
