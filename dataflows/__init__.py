"""The stream: recorder (sockets to journal), Bytewax flow (journal to lake), demo exchange."""
