"""The page of a mapped system's connection: its document with faults, Try, drafts, replay, secrets and revisions."""
