"""The recorder's parts: sockets that stay alive, holes that are mended, a journal that is never torn."""
