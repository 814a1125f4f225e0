"""Tests the ledger with power cuts, bit-rot and failing flash; `usageguard torture`."""
