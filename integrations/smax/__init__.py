"""The SMAX face: /auth/ and /rest/{tenant}/, for adapters that service desks run against OpenText SMAX.

A thin translation. What an adapter writes becomes an `IncomingRequest`, and goes the way of `POST operations/`; what it
reads is limited by `integrations.access.reachable`, and its feed is that of the outbox.
"""
