"""China Mobile's OneLink: the client of its EC API, version 5.

Written from public descriptions and clients; not yet run against a real account.
"""
