"""What the record of a release says, written up: facts, documents, and figures over many releases. Pure."""
