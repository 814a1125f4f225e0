"""Explains a plan, and finds the plan that suits a fleet's past usage: `usageguard plan`."""
