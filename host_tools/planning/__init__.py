"""What a plan means, and which plan a fleet's past would have suited: `usageguard plan`."""
