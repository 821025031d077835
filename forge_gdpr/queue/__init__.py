"""The request table: who is waiting, who is claimed, what became of them."""
