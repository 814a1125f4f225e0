"""The fleet's pages and the JSON interface, over HTTP."""
