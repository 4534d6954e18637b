"""Retention: what is final and old is archived and removed, in small batches. Nothing that waits is ever touched."""
