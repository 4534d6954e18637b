"""Pure: from the text of a document to a connection, with the place of each fault."""

from integrations.connections.templating.faults import Fault, FaultyDocument

from .parsing import MOST_STEPS, connection_of, faults_of

__all__ = ["MOST_STEPS", "Fault", "FaultyDocument", "connection_of", "faults_of"]
